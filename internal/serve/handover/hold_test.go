package handover

import (
	"fmt"
	"io"
	"testing"
)

// held makes a client's first of two pipelined requests be answered, and keeps the
// answer back until something but time lets it go.
func (p *played) held() (client io.ReadWriter, first, second string, id uint64) {
	p.t.Helper()
	c := p.client()
	io.WriteString(c, fmt.Sprintf(get, "0/a")+fmt.Sprintf(get, "1/b"))
	id, _ = p.take(0)
	p.awaitPaused(0, id)
	p.peers[0].mu.Lock()
	conn := p.peers[0].forwarded[id].conn
	p.peers[0].mu.Unlock()
	conn.mu.Lock()
	conn.timed = true
	conn.mu.Unlock()
	p.answer(0, id, true, answerTo("/0/a", 0))
	id, _ = p.take(1)
	await(p.t, "the answer is held", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return len(conn.held) > 0
	})
	return c, answerTo("/0/a", 0), answerTo("/1/b", 0), id
}

// An answer that is held leaves with the next, and in front of whatever becomes of the
// request behind it.
func TestHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(p *played, id uint64)
		then func(p *played, c io.ReadWriter, second string)
	}{
		"the next answer": {
			func(p *played, id uint64) { p.answer(1, id, true, answerTo("/1/b", 0)) },
			func(p *played, c io.ReadWriter, second string) { expectText(p.t, c, second) },
		},
		"the last answer": {
			func(p *played, id uint64) { p.answer(1, id, false, answerTo("/1/b", 0)) },
			func(p *played, c io.ReadWriter, second string) { expectText(p.t, c, second); expectEnd(p.t, c) },
		},
		"a part of the next answer": {
			func(p *played, id uint64) {
				a := answer{stream: id}
				p.cells[1].wire.Post(kindAnswer, a.head(nil), []byte("HTTP/1.1 "))
			},
			func(p *played, c io.ReadWriter, _ string) { expectText(p.t, c, "HTTP/1.1 ") },
		},
		"the cell's death": {
			func(p *played, id uint64) { p.cells[1].Close(); p.gate.Recover(p.peers[1]) },
			func(p *played, c io.ReadWriter, _ string) { expectEnd(p.t, c) },
		},
		"the connection is fetched": {
			func(p *played, id uint64) {
				a := answer{stream: id}
				p.cells[1].wire.Post(kindFetch, a.head(nil))
			},
			func(p *played, c io.ReadWriter, _ string) {
				f, err := p.cells[1].wire.Recv()
				if err != nil || f.Kind != kindConn {
					p.t.Errorf("the cell got a frame %q, %v", f.Kind, err)
				}
				closeAll(f.FDs)
			},
		},
		"more of an answer than is forwarded": {
			func(p *played, id uint64) {
				a := answer{stream: id}
				for range window/1024 + 1 {
					p.cells[1].wire.Post(kindAnswer, a.head(nil), make([]byte, 1024))
				}
			},
			func(*played, io.ReadWriter, string) {},
		},
		"time": {
			func(p *played, id uint64) {
				p.peers[1].mu.Lock()
				conn := p.peers[1].forwarded[id].conn
				p.peers[1].mu.Unlock()
				conn.release()
			},
			func(*played, io.ReadWriter, string) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlayed(t)
			c, first, second, id := p.held()
			tt.do(p, id)
			expectText(t, c, first)
			tt.then(p, c, second)
		})
	}
}

func expectEnd(t *testing.T, c io.Reader) {
	t.Helper()
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("%q, %v; want the end", got, err)
	}
}

// A connection does not keep the room that a long row of answers took.
func TestHeldIsTrimmed(t *testing.T) {
	p := newPlayed(t)
	_, _, _, id := p.held()
	p.peers[1].mu.Lock()
	conn := p.peers[1].forwarded[id].conn
	p.peers[1].mu.Unlock()
	conn.mu.Lock()
	conn.held = append(make([]byte, 0, mostHeld), conn.held...)
	conn.mu.Unlock()
	p.answer(1, id, true, answerTo("/1/b", 0))
	await(t, "the buffer is gone", func() bool {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		return cap(conn.held) <= bufferSize
	})
}
