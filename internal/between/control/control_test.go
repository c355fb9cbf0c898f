package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// fake is a Backend of canned answers.
type fake struct {
	status api.Status
	reload func(ctx context.Context) (api.Reload, error)
	err    error

	outcome api.Outcome
	history api.History
	asked   string // what the last settle, history, rollback or events was asked
	events  api.Events
}

func (f *fake) Status(context.Context) (api.Status, error) { return f.status, f.err }

func (f *fake) Release(_ context.Context, name string) (api.Reload, error) {
	return api.Reload{Refused: map[string]api.Refusal{name: {Reason: "again"}}}, f.err
}

func (f *fake) Settle(_ context.Context, name string) (api.Outcome, error) {
	f.asked = "settle " + name
	return f.outcome, f.err
}

func (f *fake) History(_ context.Context, name string) (api.History, error) {
	f.asked = "history " + name
	return f.history, f.err
}

func (f *fake) Rollback(_ context.Context, name, version string) (api.Outcome, error) {
	f.asked = "rollback " + name + " " + version
	return f.outcome, f.err
}

func (f *fake) Canary(_ context.Context, name, do, terms string) (api.Outcome, error) {
	f.asked = fmt.Sprintf("canary %s %s %s", name, do, terms)
	return f.outcome, f.err
}

func (f *fake) Restart(_ context.Context, name string) (api.Outcome, error) {
	f.asked = "restart " + name
	return f.outcome, f.err
}

func (f *fake) Enable(_ context.Context, name string) (api.Outcome, error) {
	f.asked = "enable " + name
	return f.outcome, f.err
}

func (f *fake) Disable(_ context.Context, name string) (api.Outcome, error) {
	f.asked = "disable " + name
	return f.outcome, f.err
}

func (f *fake) Show(_ context.Context, name string) (api.Shown, error) {
	return api.Shown{Name: name, Settings: []api.Setting{{Key: "Cell", Value: "x", Where: "f:1"}}}, f.err
}

func (f *fake) Metrics(context.Context) (api.Metrics, error) {
	return api.Metrics{Text: "up 1\n"}, f.err
}

func (f *fake) Events(_ context.Context, since uint64, wait bool) (api.Events, error) {
	f.asked = fmt.Sprint("events ", since, wait)
	return f.events, f.err
}

func (f *fake) Reload(ctx context.Context) (api.Reload, error) {
	if f.reload == nil {
		return api.Reload{}, f.err
	}
	return f.reload(ctx)
}

// start serves b on l until the test ends or stop is called, which returns
// what serve did.
func start(t *testing.T, l net.Listener, b Backend, lim limits) (stop func() error) {
	t.Helper()
	return startFor(t, l, b, lim, Operators{}.check(l.Addr().String()))
}

// startFor is start for whom check lets in.
func startFor(t *testing.T, l net.Listener, b Backend, lim limits, check func(net.Conn) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l, b, testVersion, check, lim) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

// serveAt starts a server with b in a folder of its own.
func serveAt(t *testing.T, b Backend, lim limits) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(shortDir(t), "s")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	return path, start(t, l, b, lim)
}

func TestRoundTrip(t *testing.T) {
	since := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	want := api.Status{
		Daemon: api.Daemon{Version: "0.1.0", PID: 1, GatePID: 2, Since: since, Handlers: "/h", Listeners: []string{":8080"}},
		Handlers: []api.Handler{{Name: "a\n", State: api.StateLive, Version: "0123456789ab", Patterns: []string{"/a"}, PID: 3,
			Since: since, Requests: 4, InFlight: 5, MemoryBytes: 6, Descriptors: 7, Threads: 8, CPUSeconds: 9.5, Restarts: 10,
			MemoryMax: 11, LimitNOFILE: 12, Cell: "plugserver-cell", Group: "g", Doing: "d", Refusal: &api.Refusal{Reason: "r", Mend: "m"}}},
	}
	wantReload := api.Reload{Live: 1, Refused: map[string]api.Refusal{"a": {Reason: "r", Mend: "m"}}, Problem: "p"}
	path, _ := serveAt(t, &fake{status: want, reload: func(context.Context) (api.Reload, error) { return wantReload, nil }}, defaultLimits)
	c := NewClient(path)
	if got, err := c.Status(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("status %+v, %v, want %+v", got, err, want)
	}
	if got, err := c.Reload(t.Context()); err != nil || !reflect.DeepEqual(got, wantReload) {
		t.Errorf("reload %+v, %v, want %+v", got, err, wantReload)
	}
	if got, err := c.Version(t.Context()); err != nil || got != testVersion {
		t.Errorf("version %+v, %v, want %+v", got, err, testVersion)
	}
}

func TestHandlersOwn(t *testing.T) {
	since := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	f := &fake{
		outcome: api.Outcome{Handler: &api.Handler{Name: "a", State: api.StateLive, Patterns: []string{"/a"}}, Problem: "p"},
		history: api.History{Name: "a", Versions: []api.Past{{Version: "0123456789ab", Live: since, Current: true}, {Version: "ba9876543210", Bad: true}}},
	}
	path, _ := serveAt(t, f, defaultLimits)
	c := NewClient(path)
	if got, err := c.Settle(t.Context(), "a&b=c"); err != nil || !reflect.DeepEqual(got, f.outcome) || f.asked != "settle a&b=c" {
		t.Errorf("settle %q: %+v, %v, want %+v", f.asked, got, err, f.outcome)
	}
	if got, err := c.History(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, f.history) || f.asked != "history a" {
		t.Errorf("history %q: %+v, %v, want %+v", f.asked, got, err, f.history)
	}
	if got, err := c.Rollback(t.Context(), "a", "ba98"); err != nil || !reflect.DeepEqual(got, f.outcome) || f.asked != "rollback a ba98" {
		t.Errorf("rollback %q: %+v, %v, want %+v", f.asked, got, err, f.outcome)
	}
	if got, err := c.Events(t.Context(), 7, true); err != nil || len(got.Events) != 0 || got.Events == nil || f.asked != "events 7 true" {
		t.Errorf("%q: %+v, %v", f.asked, got, err)
	}
	f.events = api.Events{Events: []api.Event{{Seq: 8, Event: "live", Fields: map[string]string{"a": "b"}}}}
	if got, err := c.Events(t.Context(), 0, false); err != nil || !reflect.DeepEqual(got, f.events) || f.asked != "events 0 false" {
		t.Errorf("%q: %+v, %v", f.asked, got, err)
	}
	if got, err := c.Canary(t.Context(), "a", "promote", "b&c;d"); err != nil || !reflect.DeepEqual(got, f.outcome) || f.asked != "canary a promote b&c;d" {
		t.Errorf("%q: %+v, %v", f.asked, got, err)
	}
	if got, err := c.Restart(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, f.outcome) || f.asked != "restart a" {
		t.Errorf("%q: %+v, %v", f.asked, got, err)
	}
	if got, err := c.Enable(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, f.outcome) || f.asked != "enable a" {
		t.Errorf("%q: %+v, %v", f.asked, got, err)
	}
	if got, err := c.Disable(t.Context(), "a"); err != nil || !reflect.DeepEqual(got, f.outcome) || f.asked != "disable a" {
		t.Errorf("%q: %+v, %v", f.asked, got, err)
	}
	if got, err := c.Show(t.Context(), "a b"); err != nil || got.Name != "a b" || len(got.Settings) != 1 || got.Settings[0].Where != "f:1" {
		t.Errorf("show: %+v, %v", got, err)
	}
	if got, err := c.Metrics(t.Context()); err != nil || got.Text != "up 1\n" {
		t.Errorf("metrics: %+v, %v", got, err)
	}
	if _, err := c.Rollback(t.Context(), "a", ""); err != nil || f.asked != "rollback a " {
		t.Errorf("rollback %q: %v", f.asked, err)
	}
	f.outcome, f.err = api.Outcome{}, errors.New("handler \"a\" has no earlier version")
	if _, err := c.Rollback(t.Context(), "a", ""); err == nil || err.Error() != f.err.Error() {
		t.Errorf("got %v, want %v", err, f.err)
	}
}

// TestEndpoints asks with raw requests, as curl --unix-socket would.
func TestEndpoints(t *testing.T) {
	path, _ := serveAt(t, &fake{status: api.Status{Handlers: []api.Handler{{Name: "a"}}}, outcome: api.Outcome{Handler: &api.Handler{}}}, defaultLimits)
	tests := []struct {
		name, request string
		code          int
		want          string // in the body
	}{
		{"no null lists", "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 200, `"patterns":[]`},
		{"no null map", "POST /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n", 200, `{"live":0,"refused":{}}`},
		{"no null list of an outcome", "POST /v1/settle?name=a HTTP/1.1\r\nHost: x\r\n\r\n", 200, `"patterns":[]`},
		{"no null list of a roll-back", "POST /v1/rollback?name=a HTTP/1.1\r\nHost: x\r\n\r\n", 200, `"patterns":[]`},
		{"no null history", "GET /v1/history?name=a HTTP/1.1\r\nHost: x\r\n\r\n", 200, `"versions":[]`},
		{"settle has a method", "GET /v1/settle?name=a HTTP/1.1\r\nHost: x\r\n\r\n", 405, `takes POST`},
		{"small body", "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 200, `{"live":0`},
		{"method", "GET /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n", 405, `{"error":"\"/v1/reload\" takes POST, not \"GET\""}`},
		{"path", "GET /v2/status HTTP/1.1\r\nHost: x\r\n\r\n", 404, `plugserverctl may be newer`},
		{"options", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, `{"error":`},
		{"large body", "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 5000), 413, `takes no body`},
		{"large head", "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20000) + "\r\n\r\n", 431, ``},
		{"broken body", "POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, `{"error":"read the request: `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go io.WriteString(c, tt.request)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.code || !strings.Contains(string(body), tt.want) {
				t.Errorf("got %d %q (%v), want %d %q", resp.StatusCode, body, err, tt.code, tt.want)
			}
			if resp.StatusCode != 431 && (resp.Header.Get("Content-Type") != "application/json" || !json.Valid(body)) {
				t.Errorf("%q of type %q is no JSON", body, resp.Header.Get("Content-Type"))
			}
		})
	}
}

// TestNoPeer shows that who cannot be told apart is not answered.
func TestNoPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start(t, l, &fake{}, defaultLimits)
	resp, err := http.Get("http://" + l.Addr().String() + "/v1/version")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %s, want 403", resp.Status)
	}
}

func TestClientErrors(t *testing.T) {
	answer := func(raw string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					http.ReadRequest(bufio.NewReader(c))
					io.WriteString(c, raw)
					c.Close()
				}
			}()
		}
	}
	const byHand = "start it as it was started before, with --control PATH among its flags, as --listen, --handlers and --state (plugserverd(8)); or name the socket of another: --control, $PLUGSERVER_CONTROL"
	tests := []struct {
		name string
		prep func(t *testing.T, path string)
		want string // PATH stands for the socket's path, quoted
	}{
		{"missing", func(*testing.T, string) {}, `connect to PATH: no daemon answers; ` + byHand},
		{"stale", stale, `connect to PATH: no daemon answers; ` + byHand},
		{"hangs up", answer(""), `ask PATH: the daemon hung up before it answered; see: journalctl -u plugserverd`},
		{"cut short", answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), `ask PATH: the daemon hung up before it answered; see: journalctl -u plugserverd`},
		{"another server", answer("HTTP/1.1 500 Oh\x1bno\r\nContent-Length: 1\r\n\r\n."), `ask PATH: got "500 Oh\x1bno", which is no answer of plugserverd's; check --control`},
		{"no JSON", answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n."), `ask PATH: the answer is none of plugserverd's: invalid character '.' looking for beginning of value; check --control`},
		{"the daemon's own", func(t *testing.T, path string) {
			l, err := Listen(path, -1)
			if err != nil {
				t.Fatal(err)
			}
			start(t, l, &fake{err: errors.New("read it: no")}, defaultLimits)
		}, "read it: no"},
		{"silent", func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, `ask PATH: no answer within 200ms; see: journalctl -u plugserverd`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "s")
			tt.prep(t, path)
			c := NewClient(path)
			if tt.name == "silent" {
				c.quick = 200 * time.Millisecond
			}
			_, err := c.Status(t.Context())
			want := strings.ReplaceAll(tt.want, "PATH", `"`+path+`"`)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	if got, want := starts("/run/plugserver@shop/control.sock"), "start it with: systemctl start plugserverd@shop"; got != want {
		t.Errorf("an instance: got %s, want %s", got, want)
	}
	c := NewClient("/" + strings.Repeat("x", 107))
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "at most 107 bytes") {
		t.Errorf("long path: %v", err)
	}
	if _, err := os.Lstat(DefaultPath); errors.Is(err, os.ErrNotExist) {
		want := `connect to "/run/plugserver/control.sock": no daemon answers; start it with: systemctl start plugserverd`
		if _, err := NewClient(DefaultPath).Status(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := NewClient("x").Reload(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestLongReload shows that no deadline of a request cuts a reload short.
func TestLongReload(t *testing.T) {
	lim := defaultLimits
	// As much as a client may need on a busy machine.
	lim.header, lim.read, lim.write = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	path, _ := serveAt(t, &fake{reload: func(ctx context.Context) (api.Reload, error) {
		select {
		case <-ctx.Done():
			return api.Reload{}, ctx.Err()
		case <-time.After(2 * lim.read): // past every deadline
			return api.Reload{Live: 7}, nil
		}
	}}, lim)
	if got, err := NewClient(path).Reload(t.Context()); err != nil || got.Live != 7 {
		t.Errorf("got %+v, %v, want 7 live", got, err)
	}
}

// TestReloadEnds shows that a reload's context ends with its client and with
// the server.
func TestReloadEnds(t *testing.T) {
	begun, ended := make(chan bool), make(chan bool)
	path, stop := serveAt(t, &fake{reload: func(ctx context.Context) (api.Reload, error) {
		begun <- true
		<-ctx.Done()
		ended <- true
		return api.Reload{}, ctx.Err()
	}}, defaultLimits)
	ask := func(ctx context.Context) chan error {
		got := make(chan error, 1)
		go func() {
			_, err := NewClient(path).Reload(ctx)
			got <- err
		}()
		return got
	}

	ctx, cancel := context.WithCancel(t.Context())
	got := ask(ctx)
	<-begun
	cancel()
	<-ended
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("client that left: %v", err)
	}

	got = ask(t.Context())
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	<-ended
	if err := <-got; err == nil || err.Error() != "plugserverd is stopping" {
		t.Errorf("client of a stopping server: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket remains: %v", err)
	}
}

// watched tells when the server closes a connection.
type watched struct {
	*listener
	closed chan bool
}

type watchedConn struct {
	*net.UnixConn
	closed chan bool
	once   sync.Once
}

func (w watched) Accept() (net.Conn, error) {
	c, err := w.AcceptUnix()
	if err != nil {
		return nil, err
	}
	return &watchedConn{UnixConn: c, closed: w.closed}, nil
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { c.closed <- true })
	return c.UnixConn.Close()
}

// TestSlowClients shows that the server lets go of clients that dawdle: each
// of these would hold its connection for good.
func TestSlowClients(t *testing.T) {
	lim := limits{header: 100 * time.Millisecond, read: 150 * time.Millisecond, write: 100 * time.Millisecond,
		idle: 100 * time.Millisecond, grace: 100 * time.Millisecond, body: 4096}
	tests := []struct {
		name string
		act  func(c net.Conn)
	}{
		{"says nothing", func(net.Conn) {}},
		{"a byte at a time", func(c net.Conn) {
			for _, b := range []byte("GET /v1/status HTTP/1.1\r\nHost: " + strings.Repeat("x", 10000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond) // the very dawdling
			}
		}},
		{"never ends its body", func(c net.Conn) {
			io.WriteString(c, "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
		}},
		{"never reads", func(c net.Conn) { io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n") }},
		{"asks nothing more", func(c net.Conn) {
			io.WriteString(c, "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
			http.ReadResponse(bufio.NewReader(c), nil)
		}},
	}
	l, err := Listen(filepath.Join(shortDir(t), "s"), -1)
	if err != nil {
		t.Fatal(err)
	}
	w := watched{listener: l.(*listener), closed: make(chan bool, len(tests))}
	large := api.Status{Daemon: api.Daemon{Problem: strings.Repeat("x", 16<<20)}} // more than any socket buffers
	start(t, w, &fake{status: large}, lim)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("unix", w.path)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			done := make(chan bool)
			go func() { tt.act(c); close(done) }()
			select {
			case <-w.closed:
			case <-time.After(10 * time.Second):
				t.Error("the server still holds the connection")
			}
			c.Close()
			<-done
		})
	}
}

// TestSilentClientAtStop shows that nobody can hold up the daemon's exit.
func TestSilentClientAtStop(t *testing.T) {
	lim := defaultLimits
	lim.grace = 50 * time.Millisecond
	path, stop := serveAt(t, &fake{}, lim)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := NewClient(path).Version(t.Context()); err != nil { // c is accepted by now
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes, want the connection closed", n)
	}
}

// TestServeBroken shows that a listener that breaks is an error.
func TestServeBroken(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, &fake{}, testVersion, Operators{}); err == nil || !strings.HasPrefix(err.Error(), `serve control socket "`+path+`": `) {
		t.Errorf("got %v", err)
	}
}
