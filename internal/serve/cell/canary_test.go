//go:build go1.26

// The source of a cell comes with its tests, and is built by older releases, without the gate and the supervisor.

package cell

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// shared are routes: /x is one's and its canary's, /y another's.
func shared(one, other uint64, c link.Canary) []link.Route {
	return []link.Route{{Pattern: "/x", Cell: one, Canary: c}, {Pattern: "/y", Cell: other}}
}

// loads are clients of all kinds, each on a connection of its own. They end once stop is closed, and never
// try anything again.
func loads(w *world, n int, stop chan struct{}, saw func(version string)) (wait func()) {
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			c, rnd := w.dial(), rand.New(rand.NewPCG(1, uint64(i)))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := c.kind(i, n, rnd, saw); err != nil {
					w.t.Errorf("client %d, request %d: %v", i, n, err)
					return
				}
			}
		}()
	}
	return all.Wait
}

// kind has c ask once as clients of the i-th kind do.
func (c *client) kind(i, n int, rnd *rand.Rand, saw func(string)) error {
	one := func(a ask) error {
		version, err := c.do(a)
		saw(version)
		return err
	}
	cookie := fmt.Sprintf("Cookie: id=%d\r\n", rnd.IntN(20))
	switch uri := fmt.Sprintf("/x?n=%d", n); i % 6 {
	case 0: // one after the other
		return one(asks("GET", uri, 0, "", cookie))
	case 1: // with a body
		method := []string{"POST", "PUT"}[n%2]
		return one(asks(method, uri, 0, strings.Repeat("b", 1+rnd.IntN(100_000)), cookie))
	case 2: // pipelined
		var batch []ask
		var sent strings.Builder
		for range 1 + rnd.IntN(10) {
			a := asks("GET", uri, 0, "", cookie)
			if rnd.IntN(5) == 0 {
				a = asks("POST", uri, 0, "body", cookie)
			}
			batch = append(batch, a)
			sent.WriteString(a.bytes)
		}
		if err := c.write(sent.String()); err != nil {
			return err
		}
		for _, a := range batch {
			version, err := c.read(a)
			if err != nil {
				return err
			}
			saw(version)
		}
	case 3: // in pieces
		a := asks("POST", uri, 0, "body", cookie)
		for rest := a.bytes; rest != ""; {
			n := min(1+rnd.IntN(30), len(rest))
			if err := c.write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
			time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
		}
		version, err := c.read(a)
		saw(version)
		return err
	case 4: // more than is forwarded
		return one(asks("GET", uri+"&more=100000", 100_000, "", cookie))
	case 5: // for several handlers
		version, err := c.do(asks("GET", "/y", 0, "", cookie))
		if err == nil && version != "other" {
			err = errors.New("another's request is answered by " + version)
		}
		return errors.Join(err, one(asks("GET", uri, 0, "", cookie)))
	}
	return nil
}

// Whatever becomes of a canary and its incumbent but a crash, no client notices.
func TestNoClientNoticesACanary(t *testing.T) {
	for name, tt := range map[string]struct {
		lim    link.Limits
		sticky link.Sticky
	}{
		"connections":   {link.Limits{IdleTimeout: time.Minute}, ""},
		"cookies":       {link.Limits{IdleTimeout: time.Minute}, link.StickyCookie},
		"requests":      {link.Limits{IdleTimeout: time.Minute, Proxies: []string{"127.0.0.0/8"}}, ""},
		"lent requests": {link.Limits{IdleTimeout: time.Minute, Proxies: []string{"127.0.0.0/8"}, Lends: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.lim)
			other, one := w.cell("other", "/y"), w.cell("v0", "/x")
			w.tell(shared(one, other, link.Canary{})...)
			stop := make(chan struct{})
			var of sync.Map // counts, by version
			wait := loads(w, 12, stop, func(version string) {
				n, _ := of.LoadOrStore(version, new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
			})
			answered := func(version string) int64 {
				n, _ := of.LoadOrStore(version, new(atomic.Int64))
				return n.(*atomic.Int64).Load()
			}
			serves := func(version string) {
				t.Helper()
				before := answered(version)
				for end := time.Now().Add(20 * time.Second); answered(version) < before+20 && !t.Failed(); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s is not served", version)
					}
				}
			}
			for i := range 2 {
				name := fmt.Sprintf("v%d", 2*i+1)
				canary := w.cell(name, "/x")
				rule := link.Canary{Cell: canary, Weight: 3000, Sticky: tt.sticky, Field: "id", Seed: uint64(i)}
				w.tell(shared(one, other, rule)...)
				serves(name)
				rule.Weight = 7000
				w.tell(shared(one, other, rule)...)
				serves(name)
				// Its incumbent is replaced.
				before := one
				one = w.cell(fmt.Sprintf("v%d", 2*i+2), "/x")
				w.tell(shared(one, other, rule)...)
				w.retire(before)
				serves(fmt.Sprintf("v%d", 2*i+2))
				if i == 0 { // withdrawn
					w.tell(shared(one, other, link.Canary{})...)
					w.retire(canary)
				} else { // promoted
					w.tell(shared(canary, other, link.Canary{})...)
					w.retire(one)
					serves(name)
				}
			}
			close(stop)
			wait()
		})
	}
}

// A client's own connection is in the cell of the version that it has, whichever that is in its turn, and goes where that is now
// when a canary's part grows or ends: also one that rests.
func TestConnectionsAreDivided(t *testing.T) {
	w := newWorld(t, link.Limits{IdleTimeout: time.Minute})
	other, one, canary := w.cell("other", "/y"), w.cell("v0", "/x"), w.cell("v1", "/x")
	const n = 100
	var clients []*client
	w.tell(shared(one, other, link.Canary{})...)
	for range n {
		c := w.dial()
		c.must(asks("GET", "/x", 0, ""))
		clients = append(clients, c)
	}
	divided := func(weight int) (canarys int) {
		t.Helper()
		for range 3 {
			canarys = 0
			for _, c := range clients {
				if c.must(asks("GET", "/x", 0, "")) == "v1" {
					canarys++
				}
			}
		}
		p := float64(weight) / link.Whole
		if mean, most := p*n, 5*math.Sqrt(n*p*(1-p)); math.Abs(float64(canarys)-mean) > most {
			t.Errorf("with a weight of %d, %d of %d connections have the canary, want %.0f ± %.0f", weight, canarys, n, mean, most)
		}
		// All of them are where their requests are served, at full speed.
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if a, b := w.conns(w.cells[one]), w.conns(w.cells[canary]); a == n-canarys && b == canarys {
				break
			} else if time.Now().After(end) {
				t.Fatalf("with a weight of %d the cells have %d and %d connections, %d are the canary's", weight, a, b, canarys)
			}
		}
		return canarys
	}
	for _, weight := range []int{1000, 3000, 9000, link.Whole} {
		w.tell(shared(one, other, link.Canary{Cell: canary, Weight: weight})...)
		divided(weight)
	}
	// The canary ends, and the connections are the incumbent's.
	w.tell(shared(one, other, link.Canary{})...)
	w.retire(canary)
	for _, c := range clients {
		if version := c.must(asks("GET", "/x", 0, "")); version != "v0" {
			t.Fatalf("a connection goes to %s", version)
		}
	}
}

// Of a proxy's connection each request goes for itself, whatever it is, in the canary's part; and by what its client is
// known, where that is told.
func TestRequestsOfAProxyAreDivided(t *testing.T) {
	for _, lends := range []bool{false, true} {
		w := newWorld(t, link.Limits{IdleTimeout: time.Minute, Proxies: []string{"127.0.0.0/8"}, ProxyHeader: "x-forwarded-for", Lends: lends})
		other, one, canary := w.cell("other", "/y"), w.cell("v0", "/x"), w.cell("v1", "/x")
		rule := link.Canary{Cell: canary, Weight: 2000}
		w.tell(shared(one, other, rule)...)
		c := w.dial()
		const n = 300
		for what, a := range map[string]ask{"GET": asks("GET", "/x", 0, ""), "POST": asks("POST", "/x", 0, "body"), "large": asks("GET", "/x?more=70000", 70_000, "")} {
			canarys := 0
			for range n {
				if c.must(a) == "v1" {
					canarys++
				}
			}
			if mean, most := 0.2*n, 5*math.Sqrt(n*0.2*0.8); math.Abs(float64(canarys)-mean) > most {
				t.Errorf("%s: the canary has %d of %d requests, want %.0f ± %.0f", what, canarys, n, mean, most)
			}
		}
		for _, by := range []link.Sticky{link.StickyIP, link.StickyCookie, link.StickyHeader} {
			rule.Sticky, rule.Field = by, "id"
			w.tell(shared(one, other, rule)...)
			of := make(map[string]string)
			got := make(map[string]int)
			for i := range 600 {
				field := map[link.Sticky]string{link.StickyIP: "X-Forwarded-For: 192.0.2.%d\r\n", link.StickyCookie: "Cookie: a=b; id=%d\r\n", link.StickyHeader: "Id: %d\r\n"}[by]
				field = fmt.Sprintf(field, i%60)
				version := c.must(asks([]string{"GET", "POST"}[i/60%2], "/x", 0, strings.Repeat("b", i/60%2), field))
				if of[field] != "" && of[field] != version {
					t.Fatalf("by %s %q goes to %s and %s", by, field, of[field], version)
				}
				of[field] = version
				got[version]++
			}
			if got["v0"] == 0 || got["v1"] == 0 {
				t.Errorf("by %s the requests went to %v", by, got)
			}
		}
	}
}

// What a canary that dies had not taken is the incumbent's: the requests that were forwarded to it, and the
// connections.
func TestCanaryDies(t *testing.T) {
	for name, lim := range map[string]link.Limits{"moved": {}, "forwarded": {Proxies: []string{"127.0.0.0/8"}}, "lent": {Lends: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, lim)
			other, one, canary := w.cell("other", "/y"), w.cell("v0", "/x"), w.cell("v1", "/x")
			w.tell(shared(one, other, link.Canary{Cell: canary, Weight: link.Whole})...)
			w.stop(w.cells[canary])
			var clients []*client
			a := asks("GET", "/x", 0, "")
			for range 20 {
				c := w.dial()
				if err := c.write(a.bytes); err != nil {
					t.Fatal(err)
				}
				clients = append(clients, c)
			}
			post := asks("POST", "/x", 0, "body")
			c := w.dial()
			if err := c.write(post.bytes); err != nil {
				t.Fatal(err)
			}
			for w.conns(w.gate) < 21 { // all have come
				time.Sleep(time.Millisecond)
			}
			w.kill(canary)
			for _, c := range clients {
				if version, err := c.read(a); version != "v0" {
					t.Errorf("answered by %q, %v", version, err)
				}
				if version := c.must(a); version != "v0" { // no other table has come
					t.Errorf("the next one is answered by %s", version)
				}
			}
			if version, err := c.read(post); version != "v0" {
				t.Errorf("answered by %q, %v", version, err)
			}
		})
	}
}

// served is how many requests a child has had.
func (w *world) served(c *child) int {
	c.link.Send(link.Message{Kind: link.Ping})
	return int(w.await(c, link.Pong).Stats.Requests)
}

// A canary gets copies of what is safe and the incumbent's, and nobody learns of it; nobody waits for one that stands
// still, or notices its end.
func TestCopies(t *testing.T) {
	for name, lends := range map[string]bool{"": false, "lent": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, link.Limits{IdleTimeout: time.Minute, Lends: lends, HTTP2: link.HTTP2All})
			other, one, canary := w.cell("other", "/y"), w.cell("v0", "/x"), w.cell("v1", "/x")
			lines := map[uint64]func() int{one: w.log(w.cells[one]), canary: w.log(w.cells[canary])}
			w.tell(shared(one, other, link.Canary{Cell: canary, Mirror: link.Whole})...)
			c := w.dial()
			const n = 30
			copied := func(want int) {
				t.Helper()
				for end := time.Now().Add(10 * time.Second); w.served(w.cells[canary]) < want && time.Now().Before(end); time.Sleep(time.Millisecond) {
				}
				if got := w.served(w.cells[canary]); got != want {
					t.Fatalf("the canary has had %d copies, want %d", got, want)
				}
			}
			h2 := &http.Client{Transport: &http.Transport{Protocols: new(http.Protocols)}}
			h2.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
			defer h2.CloseIdleConnections()
			ask := func(c *client, a ask) {
				t.Helper()
				if version := c.must(a); version != "v0" {
					t.Fatalf("answered by %s", version)
				}
			}
			for i := range n {
				ask(c, asks("GET", "/x", 0, ""))
				ask(c, asks("OPTIONS", "/x?more=100000", 100_000, ""))
				ask(c, asks("DELETE", "/x", 0, ""))
				ask(c, asks("POST", "/x", 0, "body"))
				ask(c, asks("GET", "/x", 0, "body"))
				ask(c, asks("GET", "/x", 0, "", "Upgrade: other\r\n"))
				ask(w.dial(), asks("GET", "/x", 0, ""))
				resp, err := h2.Get("http://" + w.address + "/x")
				if err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(resp.Body); string(b) != "v0 GET /x HTTP/2.0 0" {
					t.Fatalf("over HTTP/2 answered by %q, %v", b, err)
				}
				copied(4 * (i + 1))
			}
			a := asks("GET", "/x", 0, "")
			if err := c.write(strings.Repeat(a.bytes, n)); err != nil {
				t.Fatal(err)
			}
			for range n {
				if version, err := c.read(a); version != "v0" {
					t.Fatalf("answered by %q, %v", version, err)
				}
			}
			copied(5 * n)
			if got := w.served(w.cells[one]); got != 9*n {
				t.Errorf("the incumbent has had %d requests, want %d", got, 9*n)
			}
			for end := time.Now().Add(10 * time.Second); lines[one]() < 9*n && time.Now().Before(end); time.Sleep(time.Millisecond) {
			}
			if asked, copies := lines[one](), lines[canary](); asked != 9*n || copies != 0 {
				t.Errorf("the access log has %d requests, and %d copies", asked, copies)
			}
			// One that is withdrawn ends, though it has copies that it answers to nobody but a client that goes.
			ask(c, asks("GET", "/x?never=v1", 0, ""))
			copied(5*n + 1)
			w.tell(shared(one, other, link.Canary{})...)
			began := time.Now()
			w.retire(canary)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it has taken %s", took)
			}
			canary = w.cell("v1", "/x")
			w.tell(shared(one, other, link.Canary{Cell: canary, Mirror: link.Whole})...)
			w.stop(w.cells[canary])
			for range 100 {
				ask(c, asks("GET", "/x", 0, ""))
			}
			w.kill(canary)
			for range 100 {
				ask(c, asks("GET", "/x", 0, ""))
			}
		})
	}
}

// What a canary costs clients that ask one request after the other, 16 connections at a time.
func BenchmarkKeepAlive(b *testing.B) {
	proxies := link.Limits{Proxies: []string{"127.0.0.0/8"}}
	for _, bb := range []struct {
		name   string
		lim    link.Limits
		canary link.Canary
	}{
		{"none", link.Limits{}, link.Canary{}},
		{"connections", link.Limits{}, link.Canary{Weight: 500}},
		{"cookies", link.Limits{}, link.Canary{Weight: 500, Sticky: link.StickyCookie, Field: "id"}},
		{"requests", proxies, link.Canary{Weight: 500}},
		{"copies", link.Limits{}, link.Canary{Mirror: link.Whole}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			w := newWorld(b, bb.lim)
			other, one := w.cell("other", "/y"), w.cell("v0", "/x")
			if bb.canary.Divides() {
				bb.canary.Cell = w.cell("v1", "/x")
			}
			w.tell(shared(one, other, bb.canary)...)
			a := asks("GET", "/x", 0, "", "Cookie: id=1\r\n")
			const conns = 16
			var left atomic.Int64
			left.Store(int64(b.N))
			var all sync.WaitGroup
			b.ResetTimer()
			for range conns {
				c := w.dial()
				all.Add(1)
				go func() {
					defer all.Done()
					for left.Add(-1) >= 0 {
						if _, err := c.do(a); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			all.Wait()
		})
	}
}
