package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// start runs Start and returns what serves the handler's pattern.
func start(t *testing.T) http.Handler {
	t.Helper()
	if err := Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(Handler())
	return mux
}

// dial begins a conversation over TCP.
func dial(t *testing.T, opts *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	srv := httptest.NewServer(start(t))
	t.Cleanup(srv.Close)
	conn, _, err := websocket.Dial(t.Context(), srv.URL+"/echo", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// bubbleDial begins a conversation in memory, for use in a synctest bubble.
// ended is closed when the handler has returned.
func bubbleDial(t *testing.T) (conn *websocket.Conn, ended <-chan struct{}) {
	t.Helper()
	h := start(t)
	client, server := net.Pipe()
	done := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		h.ServeHTTP(w, r)
	})}
	l := &oneConn{conn: server, closed: make(chan struct{})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return client, nil
	}}
	conn, _, err := websocket.Dial(t.Context(), "ws://echo/echo", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn, done
}

// oneConn is a listener that accepts conn, then nothing until it is closed.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { close(l.closed); return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestEveryMessageComesBack(t *testing.T) {
	conn := dial(t, nil)
	conn.SetReadLimit(maxMessage)
	messages := []struct {
		kind websocket.MessageType
		data []byte
	}{
		{websocket.MessageText, []byte("Hello World!")},
		{websocket.MessageText, []byte{}},
		{websocket.MessageText, []byte("Grüße, 世界")},
		{websocket.MessageBinary, []byte{0, 1, 2, 0xff}},
		{websocket.MessageBinary, bytes.Repeat([]byte{0xa5}, maxMessage)},
	}
	for _, m := range messages {
		if err := conn.Write(t.Context(), m.kind, m.data); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range messages {
		kind, data, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if kind != m.kind || !bytes.Equal(data, m.data) {
			t.Errorf("sent %v of %d bytes, received %v of %d bytes", m.kind, len(m.data), kind, len(data))
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
	conversations.Wait() // hangs where the handler has not noticed
}

func TestTooLargeMessageEndsTheConversation(t *testing.T) {
	conn := dial(t, nil)
	if err := conn.Write(t.Context(), websocket.MessageBinary, make([]byte, maxMessage+1)); err != nil {
		t.Fatal(err)
	}
	_, _, err := conn.Read(t.Context())
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("read: %v, want the close status %v", err, websocket.StatusMessageTooBig)
	}
	conversations.Wait()
}

func TestVanishedClientEndsTheConversation(t *testing.T) {
	conn := dial(t, nil)
	conn.CloseNow()
	conversations.Wait()
}

func TestStopTakesLeave(t *testing.T) {
	conn := dial(t, nil)
	read := make(chan error)
	go func() {
		_, _, err := conn.Read(t.Context())
		read <- err
	}()
	if err := Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-read; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("read: %v, want the close status %v", err, websocket.StatusGoingAway)
	}
}

func TestEndOfTheRequestsContextTakesLeave(t *testing.T) {
	h := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewUnstartedServer(h)
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Start()
	defer srv.Close()
	conn, _, err := websocket.Dial(t.Context(), srv.URL+"/echo", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	cancel()
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("read: %v, want the close status %v", err, websocket.StatusGoingAway)
	}
}

func TestStopWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ended := bubbleDial(t) // a client that never reads: it does not say goodbye
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := Stop(ctx); err != context.DeadlineExceeded {
			t.Errorf("Stop: %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Stop took %v, want 1s", took)
		}
		<-ended
	})
}

func TestSilenceEndsTheConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, ended := bubbleDial(t)
		begin := time.Now()
		time.Sleep(silence / 2) // the bubble's time
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("read: %v, want the close status %v", err, websocket.StatusGoingAway)
		}
		if took, want := time.Since(begin), silence/2+silence; took != want {
			t.Errorf("ended after %v, want %v", took, want)
		}
		<-ended
	})
}

func TestClientThatDoesNotReadIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, ended := bubbleDial(t)
		begin := time.Now()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte("anyone?")); err != nil {
			t.Fatal(err)
		}
		<-ended
		if took := time.Since(begin); took != patience {
			t.Errorf("the handler waited for %v, want %v", took, patience)
		}
	})
}

func TestRefusedRequests(t *testing.T) {
	srv := httptest.NewServer(start(t))
	defer srv.Close()

	resp, err := http.Get(srv.URL + "/echo")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("GET without an upgrade = %s, want 426", resp.Status)
	}

	_, resp, err = websocket.Dial(t.Context(), srv.URL+"/echo", &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err == nil || resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("dial from another site's page: %v, want 403", err)
	}
}
