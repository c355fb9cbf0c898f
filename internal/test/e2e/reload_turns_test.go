package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A turn is what a client does once with its connection. It counts requests.
type turn func(c *wireClient, ta *tally) error

// one sends a request as the segments go, and reads its answer.
func one(c *wireClient, ta *tally, r reloadRequest, largest int, pause time.Duration) error {
	ta.requests.Add(1)
	if err := c.send(r.bytes(c.rnd), largest, pause); err != nil {
		return err
	}
	return c.receive(200, r.want(), nil)
}

// side is the path of one of the two handlers that are replaced.
func side(rnd *rand.Rand) string { return []string{"/left", "/right"}[rnd.IntN(2)] }

// streamed is what the handler streams for q.
func streamed(q string) string {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "%s %d\n", q, i)
	}
	return b.String()
}

// turns are the kinds of clients; those that are fresh connect for each turn.
var turns = []struct {
	name  string
	fresh bool
	do    turn
}{
	{"keeps alive", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, "/left/echo", 300, -1, false), 0, 0)
	}},
	{"thinks", false, func(c *wireClient, ta *tally) error {
		time.Sleep(time.Duration(c.rnd.IntN(30)) * time.Millisecond)
		return one(c, ta, randomRequest(c.rnd, "/left/echo", 300, -1, false), 0, 0)
	}},
	{"reconnects", true, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 300, c.rnd.IntN(200)-100, false), 0, 0)
	}},
	{"alternates", false, func(c *wireClient, ta *tally) error {
		for _, path := range []string{"/left/echo", "/right/echo"} {
			if err := one(c, ta, randomRequest(c.rnd, path, 300, c.rnd.IntN(200)-100, c.rnd.IntN(2) == 0), 0, 0); err != nil {
				return err
			}
		}
		ta.requests.Add(1)
		if err := c.send("GET /none HTTP/1.1\r\nHost: e\r\n\r\n", 0, 0); err != nil {
			return err
		}
		return c.receive(404, "404 page not found\n", nil)
	}},
	{"pipelines", false, func(c *wireClient, ta *tally) error {
		var all strings.Builder
		var list []reloadRequest
		path := side(c.rnd)
		for range 2 + c.rnd.IntN(8) {
			if c.rnd.IntN(2) == 0 {
				path = side(c.rnd)
			}
			r := randomRequest(c.rnd, path+"/echo", 200+c.rnd.IntN(2000), c.rnd.IntN(2000)-1000, c.rnd.IntN(2) == 0)
			list = append(list, r)
			all.WriteString(r.bytes(c.rnd))
		}
		ta.requests.Add(int64(len(list)))
		sent := make(chan error, 1)
		go func() { sent <- c.send(all.String(), []int{0, 0, 500, 5000}[len(list)%4], time.Millisecond) }()
		for _, r := range list {
			if err := c.receive(200, r.want(), nil); err != nil {
				c.nc.Close()
				<-sent
				return err
			}
		}
		return <-sent
	}},
	{"posts", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, "/left/echo", 300, c.rnd.IntN(200000), false), 30000, 0)
	}},
	{"posts chunks", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 300, c.rnd.IntN(50000), true), 3000, 100*time.Microsecond)
	}},
	{"dribbles", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 180, c.rnd.IntN(60)-30, false), 1, time.Millisecond)
	}},
	{"sends large heads", false, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 1<<10+c.rnd.IntN(59<<10), c.rnd.IntN(200)-100, false), 4000, 3*time.Millisecond)
	}},
	{"connects and dribbles", true, func(c *wireClient, ta *tally) error {
		return one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 1000, c.rnd.IntN(200)-100, false), 100, 5*time.Millisecond)
	}},
	{"streams", false, func(c *wireClient, ta *tally) error {
		ta.requests.Add(1)
		q := text(c.rnd, 10)
		if err := c.send("GET "+side(c.rnd)+"/stream?q="+q+" HTTP/1.1\r\nHost: e\r\n\r\n", 20, time.Millisecond); err != nil {
			return err
		}
		return c.receive(200, streamed(q), nil)
	}},
	{"upgrades", true, func(c *wireClient, ta *tally) error {
		// On a connection that was used before, or a new one; with data behind the
		// head, or not.
		if c.rnd.IntN(2) == 0 {
			if err := one(c, ta, randomRequest(c.rnd, side(c.rnd)+"/echo", 300, -1, false), 0, 0); err != nil {
				return err
			}
		}
		ta.requests.Add(1)
		first, early := text(c.rnd, 5), ""
		if c.rnd.IntN(2) == 0 {
			early = c.frame(1, first)
		}
		if err := c.upgrade(side(c.rnd)+"/socket", early, 1+c.rnd.IntN(200)); err != nil {
			return err
		}
		if early != "" {
			if err := c.echoed(1, first); err != nil {
				return err
			}
		}
		for range 20 {
			ta.requests.Add(1)
			message := text(c.rnd, c.rnd.IntN(3000))
			if err := c.send(c.frame(2, message), 1000, time.Millisecond); err != nil {
				return err
			}
			if err := c.echoed(2, message); err != nil {
				return err
			}
		}
		if err := c.send(c.frame(8, "\x03\xe8"), 0, 0); err != nil {
			return err
		}
		return c.echoed(8, "\x03\xe8")
	}},
	{"holds a WebSocket", false, func(c *wireClient, ta *tally) error {
		// Of a handler that stays as it is: until the test's end.
		if !c.upgraded {
			ta.requests.Add(1)
			if err := c.upgrade("/calm/socket", "", 0); err != nil {
				return err
			}
			c.upgraded = true
		}
		time.Sleep(time.Duration(c.rnd.IntN(30)) * time.Millisecond)
		ta.requests.Add(1)
		message := text(c.rnd, c.rnd.IntN(3000))
		if err := c.send(c.frame(2, message), 0, 0); err != nil {
			return err
		}
		return c.echoed(2, message)
	}},
}

// streams asks for several things at once over one connection of HTTP/2.
func streams(c *h2Wire, rnd *rand.Rand, ta *tally) error {
	errs := make(chan error)
	const once = 4
	for range once {
		r := randomRequest(rnd, side(rnd)+"/echo", 200+rnd.IntN(30<<10), rnd.IntN(200000)-70000, rnd.IntN(2) == 0)
		q, what := text(rnd, 10), rnd.IntN(8)
		go func() {
			ta.requests.Add(1)
			status, want := "200", r.want()
			switch what {
			case 0:
				status, want, r = "404", "404 page not found\n", reloadRequest{method: "GET", target: "/none"}
			case 1:
				want, r = streamed(q), reloadRequest{method: "GET", target: "/left/stream?q=" + q}
			}
			s, err := c.ask(r)
			if err == nil {
				err = s.answer(status, want)
			}
			errs <- err
		}()
	}
	var err error
	for range once {
		err = errors.Join(err, <-errs)
	}
	return err
}

// A kind of clients, each with a connection. Those that are fresh connect for each turn.
type kind struct {
	name    string
	clients int
	fresh   bool
	begin   func(*rand.Rand) (*session, error)
}

// session is a client's connection, and what it does with it.
type session struct {
	nc   net.Conn
	turn func(*tally) error
}

// everyKind are all kinds of clients of the daemon.
func everyKind(d *testbed.Secure) []kind {
	clear := func() (net.Conn, error) { return net.DialTimeout("tcp", d.Addr, testbed.AnswerWait) }
	secure := func(protocol string) func() (net.Conn, error) {
		cfg := d.Config.Clone()
		cfg.NextProtos = []string{protocol}
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		return func() (net.Conn, error) {
			return tls.DialWithDialer(&net.Dialer{Timeout: testbed.AnswerWait}, "tcp", d.Secure, cfg)
		}
	}
	wire := func(dial func() (net.Conn, error), do turn) func(*rand.Rand) (*session, error) {
		return func(rnd *rand.Rand) (*session, error) {
			nc, err := dial()
			if err != nil {
				return nil, err
			}
			c := newWireClient(nc, rnd)
			return &session{nc, func(ta *tally) error { return do(c, ta) }}, nil
		}
	}
	h2 := func(dial func() (net.Conn, error), do func(*h2Wire, *rand.Rand, *tally) error) func(*rand.Rand) (*session, error) {
		return func(rnd *rand.Rand) (*session, error) {
			nc, err := dial()
			if err != nil {
				return nil, err
			}
			c, err := newH2Wire(nc)
			if err != nil {
				nc.Close()
				return nil, err
			}
			return &session{nc, func(ta *tally) error { return do(c, rnd, ta) }}, nil
		}
	}
	var kinds []kind
	several := 2
	if testing.Short() {
		several = 1
	}
	for _, k := range turns {
		kinds = append(kinds, kind{k.name, several, k.fresh, wire(clear, k.do)}, kind{k.name + ", over TLS", 1, k.fresh, wire(secure("http/1.1"), k.do)})
	}
	kinds = append(kinds, kind{"asks over HTTP/2", 1, false, h2(clear, streams)}, kind{"asks over HTTP/2, over TLS", several, false, h2(secure("h2"), streams)})
	if !testbed.Race { // see TestGRPC
		kinds = append(kinds, kind{"calls by gRPC, over TLS", 2, false, h2(secure("h2"), greet)})
	}
	return kinds
}
