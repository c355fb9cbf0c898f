package h2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
	"github.com/andrestc/go-plugserver/internal/serve/record"
	"github.com/andrestc/go-plugserver/internal/serve/replay"
)

// toAnswer and toRequest lead from one side of an exchange to the other, in one process.
type toAnswer struct {
	a      *record.Answer
	cancel context.CancelFunc
}

func (t toAnswer) Parts(b []byte) error { t.a.Parts(b); return nil }

func (t toAnswer) Word(word byte, n int) error {
	if word == parts.WordCancel {
		t.cancel()
		t.a.Cancel(false)
		return nil
	}
	t.a.Word(word, n)
	return nil
}

type toRequest struct{ x *replay.Request }

func (t toRequest) Parts(b []byte) error        { return t.x.Parts(b) }
func (t toRequest) Word(word byte, n int) error { t.x.Word(word, n); return nil }

// exchange answers a request by h, as another process would.
func exchange(t *testing.T, x *replay.Request, h http.HandlerFunc) replay.End {
	t.Helper()
	return exchangeOnce(t, x, nil, h)
}

// exchangeOnce awaits the answer once begun is closed, where it is not nil.
func exchangeOnce(t *testing.T, x *replay.Request, begun chan bool, h http.HandlerFunc) replay.End {
	t.Helper()
	a, err := record.Decode(string(x.Head()), toRequest{x})
	if err != nil {
		t.Error(err)
		return replay.Aborted
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		w, r, err := a.Request(ctx)
		if err != nil {
			t.Error(err)
		}
		defer func() {
			if recover() != nil {
				a.Abort()
			} else {
				a.Finish()
			}
		}()
		h(w, r)
	}()
	if begun != nil {
		<-begun
	}
	return x.Await(toAnswer{a, cancel})
}

// serve serves by f, in the clear, and returns the address.
func serve(t *testing.T, f func(x *replay.Request)) (s *Server, addr string) {
	t.Helper()
	return serveWithin(t, 0, f)
}

// serveWithin serves clients that may take nothing for so long.
func serveWithin(t *testing.T, takes time.Duration, f func(x *replay.Request)) (s *Server, addr string) {
	t.Helper()
	s = New(Config{
		Log: log.New(io.Discard, "", 0),
		Handler: func(w http.ResponseWriter, r *http.Request) {
			x := replay.New(w, r, func() bool { return false }, takes)
			defer x.Close()
			f(x)
		},
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			s.Serve(nc)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.Shutdown(ctx)
	})
	return s, l.Addr().String()
}

func client(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// still returns a count once it does not change any more.
func still(n *atomic.Int64) int64 {
	for last := n.Load(); ; {
		time.Sleep(100 * time.Millisecond)
		now := n.Load()
		if now == last {
			return now
		}
		last = now
	}
}

// A client that takes nothing stops the handler's writes, and a handler that reads nothing
// the client's upload: what is between them is bounded.
func TestFlow(t *testing.T) {
	const (
		piece = 32 << 10
		// The client's window is 4 MiB for a stream, and the server's is 1 MiB. Beside
		// these there are a window of ours, and what sockets and their readers hold.
		mostDown, mostUp = 4<<20 + 1<<20, 1<<20 + 1<<20
	)
	var written, sent atomic.Int64
	leave := make(chan struct{})
	_, addr := serve(t, func(x *replay.Request) {
		exchange(t, x, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				<-leave
				return
			}
			for p := make([]byte, piece); r.Context().Err() == nil; written.Add(piece) {
				if _, err := w.Write(p); err != nil {
					return
				}
			}
		})
	})
	c := client(t)
	resp, err := c.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	if n := still(&written); n < piece || n > mostDown {
		t.Errorf("%d bytes were written that the client does not take", n)
	}
	first := written.Load()
	io.CopyN(io.Discard, resp.Body, 8<<20)
	if written.Load() == first {
		t.Error("the handler's writes do not go on")
	}
	resp.Body.Close()
	up, out := io.Pipe()
	go func() {
		for p := make([]byte, piece); ; sent.Add(piece) {
			if _, err := out.Write(p); err != nil {
				return
			}
		}
	}()
	ended := make(chan error, 1)
	go func() {
		resp, err := c.Post("http://"+addr, "", up)
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	if n := still(&sent); n < piece || n > mostUp {
		t.Errorf("%d bytes were sent that the handler does not read", n)
	}
	close(leave)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	up.Close()
}

// What was not begun elsewhere is sent again, with all of its body.
func TestAgain(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20<<10) // more than a window
	_, addr := serve(t, func(x *replay.Request) {
		for range 3 {
			p := &deaf{got: make(chan bool, 1)}
			go func() {
				<-p.got // a part of the body was sent
				x.Lost(false)
			}()
			if end := x.Await(p); end != replay.Again {
				t.Errorf("a request that was not taken ends by %d", end)
			}
		}
		exchange(t, x, func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			fmt.Fprint(w, string(got) == body, err)
		})
	})
	resp, err := client(t).Post("http://"+addr, "", io.MultiReader(strings.NewReader(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != "true<nil>" && string(got) != "true <nil>" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A process that begins with what is sent again before it has the body gets that.
func TestAgainAtOnce(t *testing.T) {
	_, addr := serve(t, func(x *replay.Request) {
		p := &deaf{got: make(chan bool, 1)}
		go func() {
			<-p.got
			x.Lost(false)
		}()
		if end := x.Await(p); end != replay.Again {
			t.Errorf("a request that was not taken ends by %d", end)
		}
		begun := make(chan bool)
		exchangeOnce(t, x, begun, func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			close(begun)
			io.Copy(w, r.Body)
		})
	})
	resp, err := client(t).Post("http://"+addr, "", io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != "body" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// deaf is the way to a process that takes nothing.
type deaf struct{ got chan bool }

func (d *deaf) Parts([]byte) error {
	select {
	case d.got <- true:
	default:
	}
	return nil
}
func (d *deaf) Word(byte, int) error { return nil }

// A process that sends more than it was granted is found out, before all of it is kept.
func TestFlood(t *testing.T) {
	_, addr := serve(t, func(x *replay.Request) {
		piece := parts.Append(nil, parts.Data, make([]byte, 60<<10))
		var err error
		n := 0
		for ; err == nil && n < parts.Most*2; n += len(piece) {
			err = x.Parts(piece)
		}
		if !errors.Is(err, parts.ErrFlood) || n > parts.Most+2*len(piece) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	})
	resp, err := client(t).Get("http://" + addr)
	if err == nil {
		resp.Body.Close()
	}
}

// A client that opens streams and resets them at once has no more handlers run than one
// that waits (CVE-2023-44487): a handler counts until it has ended, not its stream.
func TestRapidReset(t *testing.T) {
	const mostStreams = 250 // net/http's own
	var running, most atomic.Int64
	leave := make(chan struct{})
	_, addr := serve(t, func(x *replay.Request) {
		exchange(t, x, func(w http.ResponseWriter, r *http.Request) {
			for n := running.Add(1); ; {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			<-leave // whatever its context says
			running.Add(-1)
		})
	})
	defer close(leave)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, nc)
	fr.WriteSettings()
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for id := uint32(1); id < 8000; id += 2 {
		block.Reset()
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "e"}, {":path", "/"}} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		fr.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	go nc.Write(out.Bytes())
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatalf("no word of GOAWAY: %v", err)
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			if g.ErrCode != http2.ErrCodeEnhanceYourCalm {
				t.Errorf("GOAWAY %v", g.ErrCode)
			}
			break
		}
	}
	if n := most.Load(); n > mostStreams {
		t.Errorf("%d handlers ran at a time, want %d at the most", n, mostStreams)
	}
}

// A server that is to end tells its clients, answers what was begun, and what comes on
// connections that are new.
func TestPart(t *testing.T) {
	begun, leave := make(chan bool, 1), make(chan struct{})
	s, addr := serve(t, func(x *replay.Request) {
		exchange(t, x, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				begun <- true
				<-leave
			}
			io.WriteString(w, "answered")
		})
	})
	get := func(c *http.Client, path string) (string, error) {
		resp, err := c.Get("http://" + addr + path)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	c := client(t)
	var waits sync.WaitGroup
	waits.Go(func() {
		if got, err := get(c, "/wait"); got != "answered" || err != nil {
			t.Errorf("what was begun: %q, %v", got, err)
		}
	})
	<-begun
	s.Part()
	if got, err := get(client(t), "/"); got != "answered" || err != nil {
		t.Errorf("what is new: %q, %v", got, err)
	}
	close(leave)
	waits.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	s.Shutdown(ctx)
	if _, err := get(client(t), "/"); err == nil {
		t.Error("a server that has ended answers")
	}
}
