package handover

import (
	"context"
	"encoding/binary"
	"io"
	"log"
	"net/http"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// What a request may cost, in allocations of all goroutines of the process. Who
// adds one has to say here what it is worth.
const (
	servedAllocs    = 8  // by a cell, on its own connection
	forwardedAllocs = 7  // by the gate, for a request that it forwards
	answeredAllocs  = 17 // by a cell, for a request that was forwarded to it
	pipelinedAllocs = 8  // by the gate, for each of many in a row
)

// budget checks that once costs at most want allocations. The least of some
// runs counts: what the runtime does beside is not the request's.
func budget(t *testing.T, want float64, once func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	least := testing.AllocsPerRun(200, once)
	for range 9 {
		least = min(least, testing.AllocsPerRun(200, once))
	}
	t.Logf("%v allocations, the budget is %v", least, want)
	if least > want {
		t.Errorf("%v allocations, the budget is %v", least, want)
	}
}

// asker returns what sends a request over one connection and reads the answer,
// without an allocation.
func asker(t *testing.T, address, request string, size int) func() {
	c := dial(t, address).conn
	q, buf := []byte(request), make([]byte, size)
	return func() {
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
	}
}

func helloMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/hello", hello)
	mux.Handle("/", Elsewhere)
	return mux
}

// listening runs a server on a port of its own.
func listening(t *testing.T, s *Server) (address string) {
	go s.Run()
	address, stop := accept(t, s)
	t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
	})
	return address
}

// A plain request on a connection of the cell's own.
func TestServedBudget(t *testing.T) {
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	mux := helloMux()
	s.Mux = func() Mux { return mux }
	budget(t, servedAllocs, asker(t, listening(t, s), helloRequest, helloSize))
}

// The gate's side of a request that it forwards; the cell is played by a loop that
// allocates nothing.
func TestForwardedBudget(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	cell, gate := newPeers(t, fa, fb)
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	cell.full = time.Now().Add(time.Hour) // so every request is forwarded
	dest := Dest{Peer: cell, Given: func() {}, Enter: func() bool { return false }}
	s.Route = func(*http.Request) Dest { return dest }
	body := make([]byte, helloSize)
	copy(body, "HTTP/1.1 200 OK\r\n")
	go func() {
		var head [16]byte
		for {
			f, err := gate.wire.Recv()
			if err != nil {
				return
			}
			gate.took()
			id, _ := binary.Uvarint(f.Body[2:])
			a := answer{stream: id, done: true, keep: true}
			gate.wire.Post(kindAnswer, a.head(head[:0]), body)
		}
	}()
	s.Receive(cell, func(error) {})
	address := listening(t, s)
	t.Cleanup(func() { cell.Close(); gate.Close() })
	budget(t, forwardedAllocs, asker(t, address, helloRequest, helloSize))
}

// The cell's side of a request that was forwarded to it.
func TestAnsweredBudget(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	cell, gate := newPeers(t, fa, fb)
	s := NewServer(context.Background(), nil, Limits{}, log.New(testLog{t}, "", 0))
	mux := helloMux()
	s.Mux = func() Mux { return mux }
	s.Receive(gate, func(error) {})
	t.Cleanup(func() { cell.Close(); gate.Close() })
	m := message{history: history{moves: 1}, stream: 1, remote: "127.0.0.1:50000", local: "127.0.0.1:80"}
	body := append(m.head(nil), helloRequest...)
	budget(t, answeredAllocs, func() {
		if err := cell.wire.Post(kindRequest, body); err != nil {
			t.Fatal(err)
		}
		f, err := cell.wire.Recv()
		if err != nil || f.Kind != kindAnswer {
			t.Fatal(f.Kind, err)
		}
	})
}
