package tls13

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"

	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// ends returns two of ours that talk to each other.
func ends(t testing.TB) (client, server *Conn) {
	t.Helper()
	s := tlskeys.SuiteOf(tls.TLS_AES_128_GCM_SHA256)
	up, down := bytes.Repeat([]byte{1}, s.Size), bytes.Repeat([]byte{2}, s.Size)
	c, nc := tcp(t)
	client = moved(t, c, &State{suite: s, in: side{secret: down}, out: side{secret: up}})
	return client, moved(t, nc, &State{suite: s, in: side{secret: up}, out: side{secret: down}})
}

// A request and its answer leave nothing to collect.
func TestAllocations(t *testing.T) {
	client, server := ends(t)
	p := make([]byte, 4096)
	turn := func(try bool) func() {
		return func() {
			client.Write(p[:100])
			io.ReadFull(server, p[:100])
			if try {
				server.TryWrite(p[:200])
			} else {
				server.Write(p[:200])
			}
			io.ReadFull(client, p[:200])
		}
	}
	for _, try := range []bool{false, true} {
		if n := testing.AllocsPerRun(200, turn(try)); n > 1 {
			t.Errorf("try %v: %v allocations", try, n)
		}
	}
}

func BenchmarkTurn(b *testing.B) {
	client, server := ends(b)
	p := make([]byte, 4096)
	b.ReportAllocs()
	for range b.N {
		client.Write(p[:100])
		io.ReadFull(server, p[:100])
		server.Write(p[:200])
		io.ReadFull(client, p[:200])
	}
}
