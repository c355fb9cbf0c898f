// Package handover serves HTTP/1 on connections that travel between processes.
//
// A Server takes connections that it accepts and those handed to it, and finds
// where each request ends. It serves the request, forwards it and passes the
// answer on, or hands over the connection with all that was read of it and not
// served: so neither the client nor the handler can tell that there is more
// than one process. A process that retires calls Retire: each connection then
// leaves it before the next request, the idle ones at once. One that ends with
// the whole service calls Part: each then ends with its next answer.
//
//	conn.go     a connection: its buffer, the wait for a head, leaving
//	serve.go    what is done with a request; plain ones
//	slow.go     a connection as net/http's server sees it, for all others
//	forward.go  a request that another process answers, on the connection's side
//	divided.go  whose a request is, of a handler that two processes have
//	copy.go     copies of requests, whose answers nobody gets
//	pipeline.go the next of many, without the connection's goroutine
//	stream.go   and on the handler's side
//	replay.go   a request whose connection stays: a stream of HTTP/2
//	preface.go  and how its connection is known
//	peer.go     another process: sending, what it has taken
//	receive.go  what it sends
//	lend.go     where no connection leaves: loans in their place
//	loan.go     and on the side of whom they are lent to
//	logged.go   lines of the access log for what no handler answers
//	introduced.go  connections of proxies that speak the PROXY protocol
//	end.go      the end of a server
//	full.go     descriptors run out
//	tls.go      connections over TLS, sealed here or in another process
//	context.go, watch.go  a request's context, and the client's end
package handover
