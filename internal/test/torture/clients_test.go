package torture

import (
	"net"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// rudeClients do to the victim and to the gate what clients do: they stop in
// the middle, send nonsense, do not read, pipeline, and leave.
func (a *arena) rudeClients() {
	var open []*testbed.Client
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range 40 {
		c, err := testbed.Dial("tcp", a.d.Addr)
		if err != nil {
			a.life.Fatalf("connect: %v", err)
		}
		open = append(open, c)
		const get = "GET /victim HTTP/1.1\r\nHost: h\r\n\r\n"
		var raw string
		switch a.rng.IntN(8) {
		case 0: // leaves at once
			c.Close()
		case 1: // half a head
			raw = get[:a.rng.IntN(len(get))]
		case 2: // half a body
			raw = "POST /victim HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf"
		case 3: // nonsense
			b := make([]byte, 1+a.rng.IntN(300))
			for i := range b {
				b[i] = byte(a.rng.Uint32())
			}
			raw = string(b)
		case 4: // pipelined, and never read
			raw = strings.Repeat(get, 50)
		case 5: // a head without end
			raw = "GET /victim HTTP/1.1\r\nX: " + strings.Repeat("x", 64<<10)
		case 6: // a connection reset
			c.Conn.(*net.TCPConn).SetLinger(0)
			raw = get
		case 7: // a wandering one that leaves under an answer
			raw = get + strings.ReplaceAll(get, "victim", "calm") + get
		}
		if raw != "" {
			c.SetDeadline(time.Now().Add(time.Second))
			c.Write([]byte(raw)) // it may be gone already
		}
		if a.rng.IntN(3) == 0 {
			c.Close()
		}
	}
	a.may.victim = true
	a.refresh() // with these on board
}
