// Package parts is what two processes say to each other of a request and its answer where
// the client's connection cannot travel: a stream of HTTP/2 shares its connection with
// others.
//
// One side has the client's stream, as net/http's server serves it (package replay), the
// other the handler (package record). What the handler does to its http.ResponseWriter
// passes as parts and is done again on the client's side, in the same order: so the answer
// is net/http's own. What is on its way in either direction is bounded by a window: a
// client that takes nothing stops the handler's writes, and a handler that reads nothing
// the client's upload. Words overtake parts: they grant more of the window, or say that
// one side has gone.
package parts
