// Package tls13 is a connection of TLS 1.3 on a server's side, from the end of the handshake
// on: its records, alerts and changes of keys (RFC 8446, sections 4.6.3, 5 and 6). Other than crypto/tls's its state can be told, so a
// connection goes on in another process. What a client sees, and what who reads and
// writes is told, is what it would be by crypto/tls.
//
//	state.go  the state, and its bytes
//	conn.go   the connection, and its end
//	in.go     reading it
//	out.go    writing it
package tls13
