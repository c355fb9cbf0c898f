package handover

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/version"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// side is one of two processes that own half of the requests each: those
// whose path begins with its name.
type side struct {
	name  string
	srv   *Server
	other *Peer
	saw   atomic.Int64 // requests answered here
	moved atomic.Int64 // requests handed over or forwarded, by the gate
}

func (s *side) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.saw.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	fmt.Fprintf(w, "%s %s %s %s %d:%s", s.name, r.Method, r.URL.RequestURI(), r.RemoteAddr, len(body), body)
}

// route is the gate's.
func (s *side) route(r *http.Request) Dest {
	if strings.HasPrefix(r.URL.Path, "/"+s.name) {
		return Dest{Handler: s}
	}
	return Dest{Peer: s.other, Given: func() { s.moved.Add(1) }, Enter: func() bool { return true }}
}

// mux is a cell's.
func (s *side) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/"+s.name, s)
	mux.Handle("/"+s.name+"/", s)
	mux.Handle("/", Elsewhere)
	return mux
}

func newPeers(t testing.TB, fa, fb *os.File) (a, b *Peer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page")
	var pages [2]*os.File
	for i := range pages {
		var err error
		if pages[i], err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := pages[0].Truncate(PageSize); err != nil {
		t.Fatal(err)
	}
	a, err := NewPeer(fa, pages[0], true)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = NewPeer(fb, pages[1], false); err != nil {
		t.Fatal(err)
	}
	return a, b
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) { l.t.Logf("%s", p); return len(p), nil }

// newSides returns two connected sides; a accepts from the returned address.
// change may alter a server before it runs.
func newSides(t testing.TB, lim Limits, change ...func(*side)) (a, b *side, address string) {
	t.Helper()
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	a, b = &side{name: "a"}, &side{name: "b"}
	a.other, b.other = newPeers(t, fa, fb)
	var wg sync.WaitGroup
	for _, s := range []*side{a, b} {
		s.srv = NewServer(context.Background(), s, lim, log.New(testLog{t}, "", 0))
		if s == a {
			s.srv.Route = s.route // a is the gate
			s.srv.Key = []byte("key")
			s.srv.RouteNow = func(r *http.Request) (Dest, bool) { d := s.srv.Route(r); return d, d.Peer != nil }
		} else {
			mux := s.mux()
			s.srv.Mux = func() Mux { return mux }
			s.srv.Back = s.back
		}
		for _, f := range change {
			f(s)
		}
		s.srv.Join(s.other)
		wg.Add(2)
		go func() { defer wg.Done(); s.srv.Run() }()
		s.srv.Receive(s.other, func(error) { wg.Done() })
	}
	address, stop := accept(t, a.srv)
	t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		for _, s := range []*side{a, b} {
			s.srv.Shutdown(ctx)
			s.other.Close()
		}
		wg.Wait()
	})
	return a, b, address
}

// accept makes s accept, until stop: a gate by itself, and another as if the
// connections were handed over.
func accept(t testing.TB, s *Server) (address string, stop func()) {
	t.Helper()
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // as plugserverd
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all io.Closer = l
	serve := func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := s.newConn(nc, nc.RemoteAddr(), nc.LocalAddr())
			s.own(c)
			go s.serve(c)
		}
	}
	if s.Route != nil {
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		own, err := Listen(f)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		all = own
		serve = func() {
			if err := s.Accept(own); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	}
	ended := make(chan struct{})
	go func() { defer close(ended); serve() }()
	return l.Addr().String(), func() { all.Close(); <-ended }
}

type client struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
}

func dial(t testing.TB, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) write(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// expect reads one answer: who answered, which request, with which body.
func (c *client) expect(who, method, uri, body string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, uri, err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, uri, err)
	}
	want := fmt.Sprintf("%s %s %s %s %d:%s", who, method, uri, c.conn.LocalAddr(), len(body), body)
	if resp.StatusCode != 200 || string(got) != want {
		c.t.Fatalf("%s %s answered %s %.200q, want %.200q", method, uri, resp.Status, got, want)
	}
	if resp.Close {
		c.t.Fatalf("%s %s: the connection is to be closed", method, uri)
	}
}

const get = "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"

// A connection goes where its requests go, and stays where they differ: there
// they are forwarded.
func TestConnectionTravels(t *testing.T) {
	a, b, address := newSides(t, Limits{})
	travels(t, a, b, dial(t, address))
}

func travels(t *testing.T, a, b *side, c *client) {
	t.Helper()
	for range 10 {
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
	}
	await(t, "the connection is b's alone", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 1 })
	for range 50 {
		for _, name := range []string{"a", "b", "b", "a"} {
			c.write(fmt.Sprintf(get, name))
			c.expect(name, "GET", "/"+name, "")
		}
	}
	if a.saw.Load() != 100 || b.saw.Load() != 110 {
		t.Fatalf("a answered %d and b %d requests, want 100 and 110", a.saw.Load(), b.saw.Load())
	}
	for range 300 {
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
	}
	await(t, "the connection is b's again", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 1 })
}

// A connection without requests does not stay with the gate: it outlives that.
func TestRest(t *testing.T) {
	a, b, address := newSides(t, Limits{IdleTimeout: time.Minute})
	c := dial(t, address)
	for range 3 {
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
		await(t, "the connection rests in b", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 1 })
		c.write(fmt.Sprintf(get, "a"))
		c.expect("a", "GET", "/a", "")
	}
}

// await waits until a condition holds that nothing announces.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

// Bodies of every framing, heads larger than the reader's buffer, requests
// cut into pieces at random, pipelined at random: each is answered by its
// owner, in order, with its own body.
func TestAnyRequestStream(t *testing.T) {
	_, _, address := newSides(t, Limits{})
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			randomStream(t, rand.New(rand.NewPCG(1, seed)), dial(t, address), 300)
		}()
	}
	wg.Wait()
}

func randomStream(t testing.TB, rnd *rand.Rand, c *client, n int) {
	type request struct{ who, method, uri, body string }
	var stream bytes.Buffer
	asked := make(chan request, n)
	flush := func() {
		for stream.Len() > 0 {
			piece := stream.Next(1 + rnd.IntN(stream.Len()))
			if _, err := c.conn.Write(piece); err != nil {
				t.Errorf("write: %v", err)
				return
			}
			if rnd.IntN(4) == 0 {
				time.Sleep(time.Duration(rnd.IntN(300)) * time.Microsecond)
			}
		}
	}
	done := make(chan struct{})
	answered := make(chan struct{}, n)
	go func() {
		defer close(done)
		for q := range asked {
			c.expect(q.who, q.method, q.uri, q.body)
			answered <- struct{}{}
		}
	}()
	waiting := 0
	for i := range n {
		q := request{who: string("ab"[rnd.IntN(2)]), method: "GET"}
		q.uri = fmt.Sprintf("/%s/%d?q=%s", q.who, i, strings.Repeat("y", rnd.IntN(3)*rnd.IntN(2000)))
		fmt.Fprintf(&stream, "%s %s HTTP/1.1\r\nHost: x\r\n", "%METHOD%", q.uri)
		head := stream.String()
		stream.Reset()
		switch rnd.IntN(4) {
		case 0, 1:
			head = strings.Replace(head, "%METHOD%", "GET", 1) + "\r\n"
		case 2:
			q.method = "POST"
			q.body = strings.Repeat("b", rnd.IntN(9000))
			head = strings.Replace(head, "%METHOD%", "POST", 1) + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(q.body), q.body)
		case 3:
			q.method = "PUT"
			head = strings.Replace(head, "%METHOD%", "PUT", 1) + "Transfer-Encoding: chunked\r\n\r\n"
			for range rnd.IntN(5) {
				chunk := strings.Repeat("c", 1+rnd.IntN(5000))
				q.body += chunk
				head += fmt.Sprintf("%x\r\n%s\r\n", len(chunk), chunk)
			}
			head += "0\r\n\r\n"
		}
		stream.WriteString(head)
		asked <- q
		waiting++
		if rnd.IntN(5) > 0 { // otherwise the next request is pipelined
			flush()
			for rnd.IntN(2) > 0 && waiting > 0 {
				select {
				case <-answered:
				case <-done:
					return // it has failed
				}
				waiting--
			}
		}
	}
	flush()
	close(asked)
	<-done
}

func TestExpectContinue(t *testing.T) {
	_, _, address := newSides(t, Limits{})
	c := dial(t, address)
	c.write("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	line, err := c.br.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("interim answer %q, %v", line, err)
	}
	c.br.ReadString('\n')
	c.write("body")
	c.expect("b", "POST", "/b", "body")
}

// A retiring side hands back its idle connections at once, the others when
// their request ends, and no client notices.
func TestRetire(t *testing.T) {
	a, b, address := newSides(t, Limits{IdleTimeout: time.Minute})
	var clients []*client
	for range 20 {
		c := dial(t, address)
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
		clients = append(clients, c)
	}
	// These two have begun a request when b retires.
	clients[0].write("GET /a HT")
	clients[1].write("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo")
	for b.saw.Load() < 21 {
		time.Sleep(time.Millisecond)
	}
	b.srv.Retire()
	for b.srv.Conns() > 1 {
		time.Sleep(time.Millisecond)
	}
	clients[0].write("TP/1.1\r\nHost: x\r\n\r\n")
	clients[0].expect("a", "GET", "/a", "")
	clients[1].write("dy")
	clients[1].expect("b", "POST", "/b", "body")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := b.srv.Drained(ctx); err != nil {
		t.Fatalf("b keeps %d connections: %v", b.srv.Conns(), err)
	}
	for _, c := range clients {
		c.write(fmt.Sprintf(get, "a"))
		c.expect("a", "GET", "/a", "")
	}
	await(t, "a owns all connections", func() bool { return a.srv.Conns() == len(clients) })
}

// While connections are handed back and forth without pause, clients that
// never retry see every answer, from its owner.
func TestEvictionUnderLoad(t *testing.T) {
	_, b, address := newSides(t, Limits{IdleTimeout: time.Minute})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := dial(t, address)
			rnd := rand.New(rand.NewPCG(2, uint64(i)))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				name := string("ab"[rnd.IntN(2)])
				body := strings.Repeat("z", rnd.IntN(5000))
				c.write(fmt.Sprintf("POST /%s/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", name, n, len(body)))
				c.write(body)
				c.expect(name, "POST", fmt.Sprintf("/%s/%d", name, n), body)
			}
		}()
	}
	for range 2000 {
		b.srv.Retire()
		b.srv.retired.Store(false)
		time.Sleep(200 * time.Microsecond)
	}
	close(stop)
	wg.Wait()
}

// An idle connection that travels keeps its idle time limit, and gets a whole
// header time limit once its next request begins.
func TestTimeLimitsTravel(t *testing.T) {
	_, b, address := newSides(t, Limits{IdleTimeout: 1500 * time.Millisecond, HeaderTimeout: 300 * time.Millisecond})
	patient, gone := dial(t, address), dial(t, address)
	for _, c := range []*client{patient, gone} {
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
	}
	b.srv.Retire()
	<-time.After(600 * time.Millisecond) // beyond the header limit, within the idle limit
	patient.write(fmt.Sprintf(get, "a"))
	patient.expect("a", "GET", "/a", "")
	began := time.Now()
	if _, err := gone.br.ReadByte(); err != io.EOF {
		t.Fatalf("idle connection: %v, want %v", err, io.EOF)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Fatalf("idle connection was closed after %v", d)
	}
}

// back is the gate, while there is one.
func (s *side) back() *Peer {
	if s.other.Dead() {
		return nil
	}
	return s.other
}

// A request whose peer is gone is routed again, with its connection or without.
func TestPeerIsGone(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	dead, other := newPeers(t, fa, fb)
	other.Close()
	var tries, given atomic.Int64
	a, b, address := newSides(t, Limits{}, func(s *side) {
		if s.name != "a" {
			return
		}
		s.srv.Route = func(r *http.Request) Dest {
			if tries.Add(1)%2 == 1 {
				return Dest{Peer: dead, Given: func() { given.Add(1) }}
			}
			return s.route(r)
		}
	})
	go a.srv.Recover(dead)
	c := dial(t, address)
	c.write("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	c.expect("b", "POST", "/b", "body")
	c = dial(t, address)
	c.write(fmt.Sprintf(get, "b"))
	c.expect("b", "GET", "/b", "")
	if given.Load() != 2 || tries.Load() != 4 || b.saw.Load() != 2 {
		t.Fatalf("%d tries, %d of them at the dead peer, b answered %d", tries.Load(), given.Load(), b.saw.Load())
	}
}

// What a peer has not taken when it dies is served all the same, and what it has
// taken is not sent again: connections here.
func TestPeerDiesWithConnectionsInItsSocket(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	doomed, itself := newPeers(t, fa, fb)
	var sentTo atomic.Int64
	a, b, address := newSides(t, Limits{}, func(s *side) {
		if s.name != "a" {
			return
		}
		s.srv.Route = func(r *http.Request) Dest {
			if sentTo.Load() < 3 {
				return Dest{Peer: doomed, Given: func() { sentTo.Add(1) }}
			}
			return s.route(r)
		}
	})
	var clients []*client
	for i := range 3 {
		c := dial(t, address)
		c.write(fmt.Sprintf("POST /b/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", i))
		for sentTo.Load() == int64(i) {
			time.Sleep(time.Millisecond)
		}
		clients = append(clients, c)
	}
	takesOneAndDies(t, a, doomed, itself, clients)
	if n := b.saw.Load(); n != 2 {
		t.Errorf("b has answered %d requests, want 2", n)
	}
}

// takesOneAndDies has a peer of a's, which is itself, take the request of the first client, and die. Each
// client's is a POST of "body" to /b/ and its number.
func takesOneAndDies(t *testing.T, a *side, doomed, itself *Peer, clients []*client) {
	t.Helper()
	f, err := itself.wire.Recv()
	if err != nil {
		t.Fatal(err)
	}
	itself.took()
	closeAll(f.FDs)
	itself.Close()
	doomed.Close()
	a.srv.Recover(doomed)
	for i, c := range clients[1:] {
		c.expect("b", "POST", fmt.Sprintf("/b/%d", i+1), "body")
	}
	if _, err := clients[0].br.ReadByte(); err == nil {
		t.Error("the request that the dead peer had taken was answered")
	}
}

// A request may be the death of a process before its sender has noted that it went
// out. It is not sent again.
func TestPeerDiesOfWhatIsBeingSent(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	doomed, itself := newPeers(t, fa, fb)
	var asked atomic.Int64
	a, b, address := newSides(t, Limits{}, func(s *side) {
		if s.name != "a" {
			return
		}
		s.srv.Route = func(r *http.Request) Dest {
			if asked.Add(1) == 1 {
				return Dest{Peer: doomed, Given: func() {}}
			}
			return s.route(r)
		}
	})
	send := doomed.send
	doomed.send = func(kind byte, fds []int, parts ...[]byte) error {
		err := send(kind, fds, parts...)
		f, recvErr := itself.wire.Recv()
		if recvErr != nil {
			t.Error(recvErr)
		}
		itself.tookConn(false)
		closeAll(f.FDs)
		itself.Close()
		recovered := make(chan struct{})
		go func() {
			a.srv.Recover(doomed)
			close(recovered)
		}()
		select {
		case <-recovered: // before it was noted
		case <-time.After(100 * time.Millisecond):
		}
		return err
	}
	c := dial(t, address)
	c.write("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	if _, err := c.br.ReadByte(); err == nil {
		t.Error("the request that the dead peer had taken was answered")
	}
	if asked.Load() != 1 || b.saw.Load() != 0 {
		t.Errorf("routed %d times, b has answered %d", asked.Load(), b.saw.Load())
	}
}

// Forwarded requests that last hold no other up, whether they fetch their
// connection first or not.
func TestSlowRequestsStepAside(t *testing.T) {
	release := make(chan struct{})
	_, _, address := newSides(t, Limits{}, func(s *side) {
		if s.name != "b" {
			return
		}
		mux := s.mux()
		mux.HandleFunc("/b/look", func(w http.ResponseWriter, r *http.Request) {
			r.Context().Done()
			<-release
			s.ServeHTTP(w, r)
		})
		mux.HandleFunc("/b/wait", func(w http.ResponseWriter, r *http.Request) {
			<-release
			s.ServeHTTP(w, r)
		})
		s.srv.Mux = func() Mux { return mux }
	})
	last := func(path string) *client {
		c := dial(t, address)
		c.write("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		return c
	}
	answered := func(c *client) {
		t.Helper()
		if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	var waiting []*client
	for range 4 {
		waiting = append(waiting, last("/b/look"))
		answered(last("/b"))
		waiting = append(waiting, last("/b/wait"))
		answered(last("/b"))
	}
	close(release)
	for _, c := range waiting {
		answered(c)
	}
}

// A handler that hijacks gets the client's connection itself, and MaxBytesReader
// still finds net/http's writer.
func TestHijackedType(t *testing.T) {
	tells := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		nc, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		fmt.Fprintf(nc, "%T\n", nc)
	})
	_, _, address := newSides(t, Limits{}, func(s *side) {
		mux := s.mux()
		mux.Handle("/b/hijack", tells)
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		}
	})
	want := "*net.TCPConn\n"
	for _, request := range []string{
		"GET /b/hijack HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /b/hijack HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST /b/hijack HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody",
		"POST /b/hijack HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
	} {
		// net/http keeps what it reads apart from Go 1.25 on.
		if strings.HasPrefix(request, "POST") && slices.Contains([]string{"go1.23", "go1.24"}, version.Lang(runtime.Version())) {
			want = "handover.wholeTCP\n"
		}
		c := dial(t, address)
		c.write(request)
		if got, err := io.ReadAll(c.br); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v; want %q", request, got, err, want)
		}
	}
	c := dial(t, address)
	c.write("POST /b/hijack HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbody!")
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("%v, %v", resp, err)
	}
}

// net/http may give its look-ahead up before that has begun.
func TestLookAheadGivenUp(t *testing.T) {
	a, _, _ := newSides(t, Limits{})
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	whole := &wholeConn{Conn: a.srv.newConn(theirs, nil, nil)}
	whole.take(http.NotFoundHandler())
	whole.SetReadDeadline(longAgo)
	if err := whole.lookAhead(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	whole.Close()
}

func TestProbe(t *testing.T) {
	a, _, _ := newSides(t, Limits{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.srv.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	stuck := NewServer(ctx, a, Limits{}, log.New(testLog{t}, "", 0)) // it never runs
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := stuck.Probe(short); err == nil {
		t.Fatal("a server that does not run has answered")
	}
	stuck.Shutdown(short)
}

func FuzzDecode(f *testing.F) {
	for _, m := range []message{
		{}, {idle: true, wait: time.Minute},
		{history: history{begun: true, post: true, moves: 3}, stream: 7, remote: "127.0.0.1:80", local: "[::1]:8080", bytes: []byte("GET /")},
	} {
		f.Add(append(m.head(nil), m.bytes...))
	}
	f.Add([]byte{0, 0, 0, 0, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(append(m.head(nil), m.bytes...))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
		addrOf(m.remote)
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	for _, a := range []answer{{}, {stream: 300, done: true, keep: true, bytes: []byte("HTTP/1.1")}, {move: true}, {elsewhere: true}} {
		f.Add(append(a.head(nil), a.bytes...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeAnswer(data)
		if err != nil {
			return
		}
		again, err := decodeAnswer(append(a.head(nil), a.bytes...))
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Fatalf("%+v came back as %+v, %v", a, again, err)
		}
	})
}
