package handover

import (
	"net"
	"time"
)

// loan is what a connection has that was lent for one request (lend.go), on the side of
// whom it was lent to.
type loan struct {
	peer  *Peer
	id    uint64
	waits bool // the rest of the body comes once the request is begun
}

func (l *loan) say(a answer) {
	var b [16]byte
	a.stream = l.id
	l.peer.wire.Post(kindAnswer, a.head(b[:0]), nil)
}

// begin asks for the rest of the request.
func (l *loan) begin() {
	if l.waits {
		l.waits = false
		l.say(answer{})
	}
}

// giveBack ends c, whose request was answered, or is another process's. It waits until
// who has lent it has ended it, whatever the client has ended before: to close it says something else.
func (c *Conn) giveBack(a answer) error {
	c.become(busy)
	c.loan.say(a)
	c.raw.SetDeadline(time.Time{})
	if sc, err := c.syscallConn(); err == nil {
		sc.Read(func(fd uintptr) bool { return polled(fd, 0)&pollHup != 0 })
	}
	return net.ErrClosed
}
