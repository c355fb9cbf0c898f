package testbed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Client is one connection. It never retries, dials again or waits.
type Client struct {
	net.Conn
	R *bufio.Reader
}

// Dial opens a connection.
func Dial(network, addr string) (*Client, error) {
	nc, err := net.DialTimeout(network, addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &Client{nc, bufio.NewReader(nc)}, nil
}

// Answer is a whole response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Close  bool // the server says that it closes the connection
	Began  time.Time
	Ended  time.Time
}

// AnswerWait bounds the wait for one answer.
const AnswerWait = 30 * time.Second

// Send writes a request's bytes.
func (c *Client) Send(raw string) error {
	c.SetDeadline(time.Now().Add(AnswerWait))
	_, err := io.WriteString(c.Conn, raw)
	return err
}

// Receive reads the answer to a request of the method.
func (c *Client) Receive(method string) (Answer, error) {
	c.SetDeadline(time.Now().Add(AnswerWait))
	resp, err := http.ReadResponse(c.R, &http.Request{Method: method})
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body, Close: resp.Close, Ended: time.Now()}, err
}

// Do sends a request's bytes and reads its answer.
func (c *Client) Do(raw string) (Answer, error) {
	began := time.Now()
	if err := c.Send(raw); err != nil {
		return Answer{}, err
	}
	method, _, _ := strings.Cut(raw, " ")
	a, err := c.Receive(method)
	a.Began = began
	return a, err
}

// Get asks for a path.
func (c *Client) Get(path string) (Answer, error) {
	return c.Do("GET " + path + " HTTP/1.1\r\nHost: e2e.example\r\n\r\n")
}

// Post posts a body to a path.
func (c *Client) Post(path, body string) (Answer, error) {
	return c.Do(PostRequest(path, body))
}

func PostRequest(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: e2e.example\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// Load is clients that post without pause, each over one connection or, where
// they are Fresh, over one for each request.
type Load struct {
	Requests atomic.Int64 // that were begun
	Failed   atomic.Int64 // without an answer, or with one that was not wanted
	Refused  atomic.Int64 // connections (ECONNREFUSED)
	Closed   atomic.Int64 // connections that the server closed
	Goodbyes atomic.Int64 // answers that announce it

	stop     atomic.Bool
	turns    []atomic.Int64 // by client: requests that are over
	rest     sync.RWMutex   // read-locked by a client that is at a request
	done     sync.WaitGroup
	progress chan struct{} // capacity 1: a request has begun
	mu       sync.Mutex    // guards errs
	errs     []error
}

// Plan is what the clients of a Load do.
type Plan struct {
	Addr    string
	Clients int
	Paths   []string                          // asked for in turn
	Fresh   bool                              // a connection for each request
	Pause   func(client int) time.Duration    // to think between an answer and the next request; nil for none
	Check   func(path string, a Answer) error // nil for: 200
	Dial    func() (*Client, error)           // nil for: TCP to Addr
}

// Run starts the clients.
func (p Plan) Run(tb TB) *Load {
	tb.Helper()
	l := &Load{progress: make(chan struct{}, 1), turns: make([]atomic.Int64, p.Clients)}
	if p.Check == nil {
		p.Check = func(path string, a Answer) error {
			if a.Status != http.StatusOK {
				return fmt.Errorf("POST %s: %d %q", path, a.Status, a.Body)
			}
			return nil
		}
	}
	if p.Dial == nil {
		p.Dial = func() (*Client, error) { return Dial("tcp", p.Addr) }
	}
	for i := range p.Clients {
		var c *Client
		if !p.Fresh {
			var err error
			if c, err = p.Dial(); err != nil {
				tb.Fatalf("%v", err)
			}
		}
		l.done.Add(1)
		go func() {
			defer l.done.Done()
			l.client(p, i, c)
		}()
	}
	tb.Cleanup(func() { l.End() })
	return l
}

// client asks over c, and over a new connection where it has none.
func (l *Load) client(p Plan, i int, c *Client) {
	for n := i; !l.stop.Load(); n++ {
		l.rest.RLock()
		c = l.ask(p, p.Paths[n%len(p.Paths)], c)
		l.turns[i].Add(1)
		l.rest.RUnlock()
		if p.Pause != nil {
			time.Sleep(p.Pause(i))
		}
	}
	if c != nil {
		c.Close()
	}
}

// ask sends one request and returns the connection for the next, nil if that
// needs a new one.
func (l *Load) ask(p Plan, path string, c *Client) *Client {
	if c == nil {
		var err error
		if c, err = p.Dial(); err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				l.Refused.Add(1)
			}
			l.fail(err)
			time.Sleep(time.Millisecond) // a dead server costs no processor
			return nil
		}
	}
	l.Requests.Add(1)
	select {
	case l.progress <- struct{}{}:
	default:
	}
	a, err := c.Post(path, "some bytes")
	switch {
	case err != nil:
		l.fail(fmt.Errorf("POST %s: %w", path, err))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			l.Closed.Add(1)
		}
		c.Close()
		return nil
	case a.Close:
		l.Goodbyes.Add(1)
	}
	if err := p.Check(path, a); err != nil {
		l.fail(err)
	}
	if a.Close || p.Fresh {
		c.Close()
		return nil
	}
	return c
}

// Each returns once each client of the loads has begun a request and seen its
// end.
func Each(tb TB, loads ...*Load) {
	tb.Helper()
	type turn struct {
		of   *atomic.Int64
		want int64
	}
	var turns []turn
	for _, l := range loads {
		for i := range l.turns {
			t := &l.turns[i]
			turns = append(turns, turn{t, t.Load() + 2}) // one may have begun before
		}
	}
	for end := time.Now().Add(2 * Patience); len(turns) > 0; time.Sleep(100 * time.Microsecond) {
		turns = slices.DeleteFunc(turns, func(t turn) bool { return t.of.Load() >= t.want })
		if time.Now().After(end) {
			tb.Fatalf("%d clients are stuck", len(turns))
		}
	}
}

// Rest makes the clients pause, and returns once none is at a request. Their
// connections stay open, but for those of Fresh clients. Resume ends it.
func (l *Load) Rest() { l.rest.Lock() }

// Resume ends Rest.
func (l *Load) Resume() { l.rest.Unlock() }

// Forget forgets the failures so far, but for their numbers.
func (l *Load) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = nil
}

// Errors returns the first failures.
func (l *Load) Errors() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

func (l *Load) fail(err error) {
	l.Failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errs) < 10 {
		l.errs = append(l.errs, fmt.Errorf("%s %w", time.Now().Format("15:04:05.000000"), err))
	}
}

// End ends the clients after the request that they are at.
func (l *Load) End() {
	l.stop.Store(true)
	l.done.Wait()
}

// Unharmed ends the clients and checks that none has noticed a thing.
func (l *Load) Unharmed(tb TB) {
	tb.Helper()
	l.End()
	tb.Logf("%d requests, %d failed, %d connections closed, %d refused",
		l.Requests.Load(), l.Failed.Load(), l.Closed.Load(), l.Refused.Load())
	if l.Requests.Load() == 0 {
		tb.Errorf("the clients asked for nothing")
	}
	if l.Failed.Load()+l.Closed.Load()+l.Goodbyes.Load() > 0 {
		tb.Errorf("the clients have noticed: %d failed, %d closed, %d announced to be closed, of %d: %v",
			l.Failed.Load(), l.Closed.Load(), l.Goodbyes.Load(), l.Requests.Load(), l.Errors())
	}
}

// Await returns once the clients have begun n more requests.
func (l *Load) Await(tb TB, n int64) {
	tb.Helper()
	timeout := time.NewTimer(Patience)
	defer timeout.Stop()
	for n += l.Requests.Load(); l.Requests.Load() < n; {
		select {
		case <-l.progress:
		case <-timeout.C:
			tb.Fatalf("the clients are stuck")
		}
	}
}
