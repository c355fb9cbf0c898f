// Package load is the load generator: one thread, one epoll, requests built
// beforehand, answers parsed no further than needed to know that they are
// right; over TLS and HTTP/2 a goroutine for each connection. On a machine of few cores what it costs is taken from the server.
package load

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Spec is what one run does.
type Spec struct {
	Addr     string
	Conns    int
	Batch    int  // requests sent before their answers are read; 0 is 1
	Fresh    bool // one request per connection
	Random   bool // each connection asks in an order of its own, not in turn
	TLS      bool
	Resume   bool // with Fresh: each connection but the first resumes a session
	Streams  int  // so many at a time on each connection, of HTTP/2; 0 is HTTP/1
	Requests []Request
	// Hello is sent first on each connection, and is answered by 101; what
	// follows are frames (RFC 6455).
	Hello []byte
	Warm  time.Duration // before the measurement
	Time  time.Duration
	PIDs  []int // whose CPU time is measured
}

// Request is what is sent, and the body of the only right answer.
type Request struct {
	Bytes []byte // of HTTP/2 the head, of literals
	Body  []byte // of a gRPC call
	Want  []byte
}

// Get is a GET request whose answer is want; fresh asks for the end of the
// connection.
func Get(path, want string, fresh bool) Request {
	var end string
	if fresh {
		end = "Connection: close\r\n"
	}
	return Request{Bytes: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench.example\r\n%s\r\n", path, end), Want: []byte(want)}
}

// Post is a POST request with a body.
func Post(path string, body []byte, want string) Request {
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench.example\r\nContent-Length: %d\r\n\r\n", path, len(body))
	return Request{Bytes: append(head, body...), Want: []byte(want)}
}

// Path is what the request asks for.
func Path(r Request) string { return strings.Fields(string(r.Bytes[:min(len(r.Bytes), 1024)]))[1] }

// Upgrade asks for a WebSocket.
func Upgrade(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path)
}

// Frame is a text message of less than 126 bytes, to be echoed.
func Frame(text string) Request {
	mask := [4]byte{1, 2, 3, 4}
	frame := append([]byte{0x81, 0x80 | byte(len(text))}, mask[:]...)
	for i := range text {
		frame = append(frame, text[i]^mask[i%4])
	}
	return Request{Bytes: frame, Want: []byte(text)}
}

// Result is what a run has measured, between its warming and its end.
type Result struct {
	Answers int64
	Elapsed time.Duration
	CPU     time.Duration // of Spec.PIDs
	Own     time.Duration // CPU time of the load generator
}

// batches are the bytes to send by the number of their first request.
func (s *Spec) batches() [][]byte {
	out := make([][]byte, len(s.Requests))
	for first := range s.Requests {
		var b bytes.Buffer
		for i := range s.Batch {
			b.Write(s.Requests[(first+i)%len(s.Requests)].Bytes)
		}
		out[first] = b.Bytes()
	}
	return out
}
