package split

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/proxied"
)

func from(remote string, fields ...string) *http.Request {
	r := &http.Request{Method: "GET", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: remote, Host: "h.example", Header: make(http.Header)}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// What a client is known by, and that nothing else matters.
func TestWhatDecides(t *testing.T) {
	proxies, err := proxied.Trust([]string{"10.0.0.0/8", "unix"}, proxied.XForwardedFor)
	if err != nil {
		t.Fatal(err)
	}
	half := link.Canary{Cell: 1, Weight: link.Whole / 2, Seed: 3}
	sticky := func(by link.Sticky, field string) *Rule {
		c := half
		c.Sticky, c.Field = by, field
		return New(c, proxies)
	}
	none, ip, cookie, header, host := sticky("", ""), sticky("ip", ""), sticky("cookie", "id"), sticky("header", "x-user"), sticky("header", "host")
	two := func(r *http.Request) *http.Request { r.ProtoMajor = 2; return r }
	for _, tt := range []struct {
		why  string
		rule *Rule
		// of makes a request of the i-th value of what decides, as the n-th client that has it
		of func(i, n int) *http.Request
	}{
		{"a connection, in its turn", none, func(i, n int) *http.Request {
			return from(fmt.Sprintf("192.0.2.1:%d", i), "Cookie", fmt.Sprint("id=", n))
		}},
		{"a client's address", ip, func(i, n int) *http.Request { return from(fmt.Sprintf("192.0.2.%d:%d", i, n)) }},
		{"the same over HTTP/2", ip, func(i, n int) *http.Request { return two(from(fmt.Sprintf("192.0.2.%d:%d", i, n))) }},
		{"the same in IPv6", ip, func(i, n int) *http.Request { return from(fmt.Sprintf("[::ffff:192.0.2.%d]:%d", i, n)) }},
		{"one behind a proxy", ip, func(i, n int) *http.Request {
			return from(fmt.Sprintf("10.0.0.%d:1", n%200), "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
		}},
		{"one behind a proxy on a Unix socket", ip, func(i, n int) *http.Request {
			return from("@", "X-Forwarded-For", fmt.Sprintf("192.0.2.%d:%d", i, n))
		}},
		{"a cookie", cookie, func(i, n int) *http.Request {
			return from(fmt.Sprintf("10.0.0.%d:1", n%200), "Cookie", fmt.Sprintf("n=%d; id=%d", n, i))
		}},
		{"no cookie", cookie, func(i, n int) *http.Request {
			return from(fmt.Sprintf("192.0.2.%d:%d", i, n), "Cookie", "id=; other=1")
		}},
		{"a field", header, func(i, n int) *http.Request {
			return from(fmt.Sprintf("10.0.0.%d:1", n%200), "X-User", fmt.Sprint(i))
		}},
		{"no field", header, func(i, n int) *http.Request { return from(fmt.Sprintf("192.0.2.%d:%d", i, n)) }},
		{"the host", host, func(i, n int) *http.Request {
			r := from(fmt.Sprintf("192.0.2.1:%d", n))
			r.Host = fmt.Sprint(i)
			return r
		}},
	} {
		got := make(map[Choice]int)
		now := func() time.Time { return time.Unix(1_000_000, 0) }
		for i := range 200 {
			is := tt.rule.at(now, tt.of(i, 0), false)
			got[is]++
			for n := range 20 {
				if again := tt.rule.at(now, tt.of(i, n), false); again != is {
					t.Errorf("%s: the %d-th goes to %d, and to %d", tt.why, i, is, again)
				}
			}
		}
		if got[Canary] < 60 || got[Incumbent] < 60 || got[Each] > 0 {
			t.Errorf("%s: chosen %v", tt.why, got)
		}
	}
	for why, of := range map[string]func() Choice{
		"a proxy's":                   func() Choice { return none.Of(from("10.0.0.1:80"), false) },
		"one that alternates":         func() Choice { return none.Of(from("192.0.2.1:80"), true) },
		"a stream":                    func() Choice { return none.Of(two(from("192.0.2.1:80")), false) },
		"a Unix socket's":             func() Choice { return none.Of(from("@"), false) },
		"a Unix socket's without one": func() Choice { return ip.Of(from(""), false) },
	} {
		if got := of(); got != Each {
			t.Errorf("%s connection: %d", why, got)
		}
	}
}

// Of a connection that nothing is known by, each version has its part in time. It changes sides with its turns
// alone, which end at other times than another's; what a client is known by has no turns.
func TestTurns(t *testing.T) {
	const seconds, steps = 4000, 4
	var last [2]Choice
	parts, together, changes := 0, 0, 0
	s, ip := New(link.Canary{Weight: 1000, Seed: 5}, nil), New(link.Canary{Weight: 1000, Seed: 5, Sticky: link.StickyIP}, nil)
	for i := range seconds * steps {
		now := func() time.Time { return time.Unix(1_000_000, 0).Add(time.Duration(i) * turn / steps) }
		changed := 0
		for c, remote := range []string{"192.0.2.1:4321", "192.0.2.1:4322"} {
			is := s.at(now, from(remote), false)
			if i > 0 && is != last[c] {
				changed++
			}
			if last[c] = is; is == Canary && c == 0 {
				parts++
			}
			if ip.at(now, from(remote), false) != ip.at(time.Now, from(remote), false) {
				t.Fatal("a client that is known by its address changes sides")
			}
		}
		changes += changed
		if changed == 2 {
			together++
		}
	}
	n := float64(parts) / steps
	if mean, deviation := 0.1*seconds, math.Sqrt(seconds*0.1*0.9); math.Abs(n-mean) > 5*deviation {
		t.Errorf("the canary has had a connection for %.0f s of %d, want %.0f ± %.0f", n, seconds, mean, 5*deviation)
	}
	if want := 2.0 * seconds * 2 * 0.1 * 0.9; math.Abs(float64(changes)-want) > 0.15*want || together > 0 {
		t.Errorf("two connections have changed sides %d times, want some %.0f, and %d times at once", changes, want, together)
	}
}

// The parts are as large as they are to be, however alike the values are. Of n values with the share p
// the number is binomial: it is beyond 5 standard deviations once in 1.7 million.
func TestShares(t *testing.T) {
	const n = 30_000
	for _, weight := range []int{1, 10, 100, 500, 2500, 5000, 9900, 9999} {
		p := float64(weight) / link.Whole
		for name, of := range map[string]func(s *Rule, i int) Choice{
			"ports":     func(s *Rule, i int) Choice { return s.Of(from(fmt.Sprintf("127.0.0.1:%d", 30_000+i)), false) },
			"addresses": func(s *Rule, i int) Choice { return s.by(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)) },
			"numbers":   func(s *Rule, i int) Choice { return s.by(fmt.Sprint(i)) },
			"draws":     func(s *Rule, i int) Choice { return s.Draw() },
		} {
			s, got := New(link.Canary{Weight: weight, Seed: 1}, nil), 0
			for i := range n {
				if of(s, i) == Canary {
					got++
				}
			}
			mean, deviation := n*p, math.Sqrt(n*p*(1-p))
			if math.Abs(float64(got)-mean) > 5*deviation+1 {
				t.Errorf("%s of weight %d: %d of %d, want %.0f ± %.0f", name, weight, got, n, mean, 5*deviation)
			}
		}
	}
	s, copies := New(link.Canary{Mirror: 1000}, nil), 0
	for range n {
		if s.Copies() {
			copies++
		}
	}
	if mean, deviation := 0.1*n, math.Sqrt(n*0.1*0.9); math.Abs(float64(copies)-mean) > 5*deviation {
		t.Errorf("%d of %d are copied, want %.0f ± %.0f", copies, n, mean, 5*deviation)
	}
}

// Who has the canary keeps it where its weight grows; the clients of another canary are others.
func TestStays(t *testing.T) {
	both, first, second := 0, 0, 0
	for i := range 4000 {
		value := fmt.Sprint("user-", i)
		was := false
		for weight := 0; weight <= link.Whole; weight += 500 {
			is := New(link.Canary{Weight: weight, Seed: 1}, nil).by(value) == Canary
			if was && !is {
				t.Fatalf("%s is not the canary's any more at %d", value, weight)
			}
			was = is
		}
		if !was {
			t.Fatalf("%s is not the canary's, which has all", value)
		}
		one := New(link.Canary{Weight: 2000, Seed: 1}, nil).by(value) == Canary
		other := New(link.Canary{Weight: 2000, Seed: 2}, nil).by(value) == Canary
		for n, is := range map[*int]bool{&first: one, &second: other, &both: one && other} {
			if is {
				*n++
			}
		}
	}
	// Independent ones have 4 % in common: 160 ± 62.
	if both < 98 || both > 222 {
		t.Errorf("of %d and %d clients two canaries have %d in common", first, second, both)
	}
}

// The choice is the same in every build: a restart, or an update, moves nobody.
func TestSameForGood(t *testing.T) {
	for _, tt := range []struct {
		seed  uint64
		value string
		want  uint64
	}{
		{0, "", 0x7bd3144f29c0cc9e},
		{1, "user-1", 0x459063175d9c585a},
		{1 << 63, "192.0.2.1:443", 0x3071ab6f62ceab8f},
	} {
		if got := hash(tt.seed, tt.value); got != tt.want {
			t.Errorf("%d, %q: %#x, want %#x", tt.seed, tt.value, got, tt.want)
		}
	}
}

// A weight beyond all there is is all, and one below nothing none.
func TestWeightsBeyond(t *testing.T) {
	for weight, want := range map[int]Choice{-1: Incumbent, 0: Incumbent, link.Whole: Canary, link.Whole + 1: Canary} {
		s := New(link.Canary{Weight: weight}, nil)
		for i := range 1000 {
			if got := s.Of(from(fmt.Sprintf("192.0.2.1:%d", i)), true); got != want {
				t.Fatalf("%d: %d", weight, got)
			}
		}
	}
}

func BenchmarkOf(b *testing.B) {
	for name, c := range map[string]link.Canary{
		"none":   {Weight: 500},
		"ip":     {Weight: 500, Sticky: link.StickyIP},
		"cookie": {Weight: 500, Sticky: link.StickyCookie, Field: "session"},
		"header": {Weight: 500, Sticky: link.StickyHeader, Field: "X-User"},
	} {
		b.Run(name, func(b *testing.B) {
			s, r := New(c, nil), from("192.0.2.1:4321", "Cookie", "a=b; session=0123456789abcdef", "X-User", "somebody")
			b.ReportAllocs()
			for range b.N {
				s.Of(r, false)
			}
		})
	}
}
