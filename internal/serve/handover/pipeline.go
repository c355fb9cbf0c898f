package handover

import (
	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// goOn forwards the request behind the one that f has answered, in the place of the
// connection's goroutine, which waits: to wake it for each of many pipelined requests
// costs more than all else. It reports false, and has done nothing, where that
// goroutine has to look at what comes next. The lock of the connection is held.
func (c *Conn) goOn(f *forwarded, r *receiver) bool {
	s := c.server
	if s.RouteNow == nil || s.parted.Load() || c.evicting || c.closing || c.scan.Post || !c.last.Stays && c.streak+1 >= c.patience() {
		return false
	}
	next := c.pending()[c.scan.Len():]
	var scan http1.Scanner
	if scan.Scan(next) != http1.Whole || !scan.Plain || scan.Len() > min(maxForward, s.maxHead()) {
		return false
	}
	req, err := http1.Request(c.asking(), string(next[:scan.Len()]), true)
	if err != nil || req.Close || req.RequestURI == "*" {
		return false
	}
	c.tell(req)
	d, ok := s.RouteNow(req)
	if !ok {
		return false
	}
	c.consume(c.scan.Len())
	c.done()
	c.scan, c.unasked = scan, false
	c.follow(d)
	if d.Copy != nil {
		c.copyTo(d.Copy, req)
	}
	f.peer, f.given, f.state, f.keep, f.came, f.answer = d.Peer, d.Given, waiting, false, 0, s.answerTo(req)
	r.forward(f)
	return true
}

// forward forwards the request at the front of f's connection, and leaves the
// writing for later.
func (r *receiver) forward(f *forwarded) {
	c, p := f.conn, f.peer
	m := c.requestMessage()
	request := c.pending()[:c.scan.Len()]
	deliver, ok := p.tryForward(f, &m, request)
	switch {
	case deliver:
		r.owed.add(p)
	case !ok:
		go func() {
			if p.forward(f, &m, request) != nil { // the peer is dead
				f.given()
				f.change(again)
			}
		}()
	}
}

// owed are the peers that what was posted for has to be written to: many requests
// leave together.
type owed []*Peer

func (o *owed) add(p *Peer) { *o = append(*o, p) }

// deliver writes it, without a wait.
func (o *owed) deliver() {
	for i, p := range *o {
		p.deliver()
		(*o)[i] = nil
	}
	*o = (*o)[:0]
}

func (p *Peer) deliver() {
	all, err := p.wire.DeliverNow()
	if err == nil && all {
		return
	}
	if err != nil {
		p.dead.Store(true) // as in forward
		return
	}
	go func() {
		if p.wire.Deliver() != nil {
			p.dead.Store(true)
		}
	}()
}
