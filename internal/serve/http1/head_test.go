package http1

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// heads are requests' beginnings, each with what net/http does: the table is
// asked of it, never written by hand.
var heads = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET /a%20b?q=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://h/p HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT h:1 HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT /rpc HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"get / HTTP/1.1\r\nHost: x\r\n\r\n",
	"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
	" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
	"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
	"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
	"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
	"GET / http/1.1\r\nHost: x\r\n\r\n",
	"GET /\r\n\r\n",
	"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\nHost: x\n\n",
	"GET / HTTP/1.1\r\nHost: x\n\r\n",
	"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n \r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n \r\n\r\nbody",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n 4\r\n\r\nbody",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n 4\r\n\r\nbody",
	"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 4\r\n\r\nbody",
	"GET / HTTP/1.1\r\nHost: x\r\nA\x01: c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nA: \xff\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nbody",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\nbody",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 04\r\n\r\nbody",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\nContent-Length: 3\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nbody",
	"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

// bodies of requests in chunks.
var chunkedBodies = []string{
	"0\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n", "04\r\nbody\r\n000\r\n\r\n", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
	"4;ext=1\r\nbody\r\n0;x\r\n\r\n", "4 \r\nbody\r\n0\r\n\r\n", "4\t;e\r\nbody\r\n0\r\n\r\n",
	"0\r\nA: b\r\n\r\n", "4\r\nbody\r\n0\r\nA: b\r\nC: d\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n",
	"4\nbody\n0\n\n", "4\r\nbody0\r\n\r\n", "x\r\n", "\r\n", "4\r\nbodyXX0\r\n\r\n", "-4\r\n", "10000000000000000\r\n", "4\r\nbody\r\n0\r\nno colon\r\n\r\n",
	"0\r\n\n", "0\r\nA: b\n\n", "0\r\nA: b\r\n\n", "0\r\nA: b\n\r\n", "0\r\nA: b\nC: d\n\n", "0\r\n\r\r\n\r\n", "0\r\n\r\n\n\n", "0\r\nA: " + strings.Repeat("b", 4000) + "\n\n", "0\r\nA: " + strings.Repeat("b", 4070) + "\n\n",
}

// after is what a client pipelines behind a request.
const after = "GET /after HTTP/1.1\r\nHost: x\r\n\r\n"

// netHTTP returns how many bytes net/http's parser takes for the request at the
// front of in, and -1 where it refuses it.
func netHTTP(in string) int {
	src := strings.NewReader(in)
	br := bufio.NewReader(src)
	r, err := http.ReadRequest(br)
	if err != nil || r.ProtoMajor != 1 {
		return -1
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return -1
	}
	r.Body.Close()
	return len(in) - src.Len() - br.Buffered()
}

// ours returns the same by Scanner and Body, fed in pieces that cut decides.
func ours(in string, cut func(n int) int) int {
	var s Scanner
	have := 0
	for {
		status := s.Scan([]byte(in[:have]))
		if status == Broken {
			return -1
		}
		if status == Whole {
			break
		}
		if have == len(in) {
			return -1
		}
		have += cut(len(in) - have)
	}
	b := NewBody(s.Body)
	n, ahead := s.Len(), false
	for rest := in[n:]; !b.Ended() && rest != ""; {
		k := cut(len(rest))
		took := 0
		if !ahead {
			took = b.Next([]byte(rest[:k]))
		}
		if n += took; b.Looking() {
			ahead = true
			b.Show([]byte(rest[took:k]))
		} else if took < k {
			break
		}
		rest = rest[k:]
	}
	if !b.Ended() {
		return -1
	}
	return n
}

// Wherever net/http accepts a request, the Scanner and the Body find its end
// where net/http does, however it arrives.
func TestEndsAsNetHTTP(t *testing.T) {
	all := heads
	for _, b := range chunkedBodies {
		all = append(all, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+b)
	}
	accepted := 0
	for _, in := range all {
		in += after
		want := netHTTP(in)
		if want >= 0 {
			accepted++
		}
		for name, cut := range map[string]func(int) int{
			"whole":        func(n int) int { return n },
			"byte by byte": func(int) int { return 1 },
			"at random":    func(n int) int { return 1 + rand.IntN(n) },
		} {
			if got := ours(in, cut); want >= 0 && got != want {
				t.Errorf("%q, %s: ends after %d bytes, want %d", in, name, got, want)
			}
		}
	}
	if accepted < 30 {
		t.Errorf("net/http accepts %d requests of the table", accepted)
	}
}

// A head that is Broken is one that net/http refuses, and one that is Plain is
// one that it accepts and that has no body.
func TestVerdictsAsNetHTTP(t *testing.T) {
	plain := 0
	for _, in := range heads {
		var s Scanner
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(in)))
		refused := err != nil || r.ProtoMajor != 1
		switch status := s.Scan([]byte(in)); {
		case status == Broken && !refused:
			t.Errorf("%q is broken, but net/http takes it", in)
		case status == Whole && s.Plain && (refused || r.Body != http.NoBody || r.RequestURI == "*" || r.Header.Get("Expect") != ""):
			t.Errorf("%q is plain; net/http: %v", in, err)
		case status == Whole && s.Plain:
			plain++
		}
	}
	if plain < 4 {
		t.Errorf("%d heads of the table are plain", plain)
	}
}

func FuzzEndsAsNetHTTP(f *testing.F) {
	for _, h := range heads {
		f.Add([]byte(h+after), uint64(1))
	}
	for _, b := range chunkedBodies {
		f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+b+after), uint64(2))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		want := netHTTP(string(in))
		rnd := rand.New(rand.NewPCG(seed, 0))
		got := ours(string(in), func(n int) int { return 1 + rnd.IntN(n) })
		if want >= 0 && got != want {
			t.Errorf("%q ends after %d bytes, want %d", in, got, want)
		}
		var s Scanner
		if s.Scan(in) == Whole && s.Plain {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
			if err != nil || r.Body != http.NoBody {
				t.Errorf("%q is plain; net/http: %v", in, err)
			}
		}
	})
}
