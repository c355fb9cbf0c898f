package http1_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Go 1.23 sends a body that a handler copies by ReadFrom in answer to HEAD,
// which no client can read: that alone is not followed.
var headReadFromFails = strings.HasPrefix(runtime.Version(), "go1.23")

var (
	sizes = []int{0, 1, 5, 100, 511, 512, 513, 1024, 2047, 2048, 2049, 3000, 3900, 4095, 4096, 4097, 8192, 10 << 10, 32 << 10, 40_000, 100_000}
	codes = []int{200, 200, 201, 204, 206, 301, 304, 404, 500, 599, 999, 100, 101, 102, 103, 150, 199, 99, 0, 1000}
	names = []string{
		"Content-Length", "Content-Length", "Content-Type", "Content-Encoding", "Connection", "Connection", "Date",
		"Trailer", "Trailer", "Transfer-Encoding", "Upgrade", "Server", "Via", "X-A", "X-B", "Set-Cookie",
		http.TrailerPrefix + "X-T", "x-lower", "connection", "bad name", "", "bad:name", "X-\xff", "Trailer:",
	}
	values = []string{
		"", "0", "1", "5", "512", "2048", "3000", "10240", "-1", "abc", "9999999999999999999", " 5", "05",
		"close", "keep-alive", "Close", "Upgrade, close", "keep-alive, Upgrade", "chunked", "identity", "gzip", "gzip, chunked",
		"text/html", "X-A, X-B", "X-T,,Content-Length , X-a", "If-Match", "a\r\nb: c", "  blanks\t", "websocket", "\xff\x00",
	}
	bodies = []string{"<!DOCTYPE HTML>", "\x00\x01\x02", "GIF89a", "{\"a\":1}", "\xef\xbb\xbftext", "   <html>", "%PDF-", "a"}
)

// decode makes a program of any bytes.
func decode(b []byte) (v variant, keepAlives bool, steps []step) {
	next := func(n int) int {
		if len(b) == 0 {
			return 0
		}
		k := int(b[0]) % n
		b = b[1:]
		return k
	}
	v = variant{methods[next(len(methods))], protos[next(len(protos))], connections[next(len(connections))]}
	keepAlives = next(8) != 7
	for len(b) > 0 && len(steps) < 24 {
		s := decodeStep(next)
		if s != nil {
			steps = append(steps, s)
		}
	}
	return v, keepAlives, steps
}

func decodeStep(next func(int) int) step {
	switch next(22) {
	case 0, 1, 2:
		return write(sizes[next(len(sizes))])
	case 3:
		return writeString(sizes[next(len(sizes))])
	case 4, 5, 6:
		return set(names[next(len(names))], values[next(len(values))])
	case 7:
		return add(names[next(len(names))], values[next(len(values))])
	case 8:
		return del(names[next(len(names))])
	case 9:
		name := names[next(len(names))]
		switch next(3) {
		case 0:
			return raw(name)
		case 1:
			return raw(name, values[next(len(values))])
		}
		return raw(name, values[next(len(values))], values[next(len(values))])
	case 10, 11:
		return status(codes[next(len(codes))])
	case 12:
		return flush
	case 13:
		return flushError
	case 14, 15:
		return decodeCopy(next)
	case 16:
		return writeBytes([]byte(bodies[next(len(bodies))]))
	case 17:
		return showHeader
	case 18:
		return controls
	case 19:
		return closeNotify
	case 20:
		switch next(8) {
		case 0:
			return abort
		case 1:
			return method(methods[next(len(methods))])
		}
		return writeBytes(nil)
	case 21:
		if next(4) == 0 {
			return hijack
		}
	}
	return nil
}

func decodeCopy(next func(int) int) step {
	s := copyFrom(next(len(sources)), sizes[next(len(sizes))], next(2) == 0)
	if !headReadFromFails {
		return s
	}
	return func(x *run) {
		if x.r.Method != "HEAD" {
			s(x)
		}
	}
}

// Programs from a seed. A failure names the seed, and the number of the program.
func TestResponseRandomProgramsAsNetHTTP(t *testing.T) {
	const workers = 4
	programs := 4000
	if testing.Short() {
		programs = 800
	}
	seed := rand.Uint64()
	var wg sync.WaitGroup
	for k := range workers {
		pairs := [2]*pair{newPair(t, false), newPair(t, true)}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := k; i < programs; i += workers {
				if err := random(pairs, seed, i); err != nil {
					t.Errorf("seed %d, program %d: %v", seed, i, err)
					return
				}
			}
		}()
	}
	wg.Wait()
}

func random(pairs [2]*pair, seed uint64, i int) error {
	rng := rand.New(rand.NewPCG(seed, uint64(i)))
	b := make([]byte, 4+rng.IntN(60))
	for j := range b {
		b[j] = byte(rng.Uint32())
	}
	return comparePrograms(pairs, b)
}

func comparePrograms(pairs [2]*pair, b []byte) error {
	v, keepAlives, steps := decode(b)
	p := pairs[0]
	if keepAlives {
		p = pairs[1]
	}
	if err := p.compare(v, steps); err != nil {
		return fmt.Errorf("%x: %w", b, err)
	}
	return nil
}

func FuzzResponseAsNetHTTP(f *testing.F) {
	f.Add([]byte("GET hello"))
	f.Add([]byte{0, 0, 0, 0, 0, 4})
	pairs := [2]*pair{newPair(f, false), newPair(f, true)}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := comparePrograms(pairs, b); err != nil {
			t.Error(err)
		}
	})
}
