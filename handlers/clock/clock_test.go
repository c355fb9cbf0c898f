package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes listens on memory: inside a synctest bubble, time passes only while
// everyone waits.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p <- server
	return client, nil
}

// bubble starts the handler on a server of its own. Each request that it has
// finished is told on ended.
func bubble(t *testing.T, test func(t *testing.T, p pipes, client *http.Client, ended <-chan struct{})) {
	synctest.Test(t, func(t *testing.T) {
		if err := Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, ended := make(pipes), make(chan struct{}, 10)
		mux := http.NewServeMux()
		pattern, clock := Handler()
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			clock(w, r)
			ended <- struct{}{}
		})
		srv := &http.Server{Handler: mux}
		served := make(chan error)
		go func() { served <- srv.Serve(p) }()
		transport := &http.Transport{DialContext: p.dial}

		test(t, p, &http.Client{Transport: transport}, ended)

		transport.CloseIdleConnections()
		srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

func open(t *testing.T, client *http.Client, url string) (*http.Response, *bufio.Reader) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET %s = %s, %v", url, resp.Status, resp.Header)
	}
	return resp, bufio.NewReader(resp.Body)
}

// next reads one event and returns the time in it.
func next(t *testing.T, r *bufio.Reader) time.Time {
	t.Helper()
	data, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if blank, err := r.ReadString('\n'); err != nil || blank != "\n" {
		t.Fatalf("event ends with %q, %v", blank, err)
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSuffix(strings.TrimPrefix(data, "data: "), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestOneEventASecondFirstAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, _ pipes, client *http.Client, ended <-chan struct{}) {
		begin := time.Now()
		_, events := open(t, client, "http://clock/clock?n=4")
		for i := range 4 {
			want := begin.Add(time.Duration(i) * time.Second)
			if sent := next(t, events); !sent.Equal(want) || !time.Now().Equal(want) {
				t.Errorf("event %d tells %v and came at %v, want both %v", i, sent, time.Now(), want)
			}
		}
		if _, err := events.ReadByte(); err != io.EOF {
			t.Errorf("after n events: %v, want EOF", err)
		}
		<-ended
	})
}

func TestStreamEndsWithItsClient(t *testing.T) {
	bubble(t, func(t *testing.T, _ pipes, client *http.Client, ended <-chan struct{}) {
		resp, events := open(t, client, "http://clock/clock")
		next(t, events)
		next(t, events)
		left := time.Now()
		resp.Body.Close()
		<-ended
		if took := time.Since(left); took != 0 {
			t.Errorf("the stream went on for %v", took)
		}
	})
}

func TestStreamEndsWithItsHandler(t *testing.T) {
	bubble(t, func(t *testing.T, _ pipes, client *http.Client, ended <-chan struct{}) {
		_, events := open(t, client, "http://clock/clock")
		next(t, events)
		stopped := time.Now()
		if err := Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(events); err != nil || len(rest) != 0 {
			t.Errorf("after Stop: %q, %v, want a proper end", rest, err)
		}
		<-ended
		if took := time.Since(stopped); took != 0 {
			t.Errorf("the stream went on for %v", took)
		}
	})
}

func TestStreamEndsWhereNobodyReads(t *testing.T) {
	bubble(t, func(t *testing.T, p pipes, _ *http.Client, ended <-chan struct{}) {
		conn, _ := p.dial(t.Context(), "", "")
		defer conn.Close()
		begin := time.Now()
		if _, err := io.WriteString(conn, "GET /clock HTTP/1.1\r\nHost: clock\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-ended
		if took := time.Since(begin); took != patience {
			t.Errorf("the stream waited for %v, want %v", took, patience)
		}
	})
}

func TestRequestsWithoutStream(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc(Handler())
	tests := []struct {
		method, url string
		status      int
	}{
		{"HEAD", "/clock", 200},
		{"POST", "/clock", 405},
		{"GET", "/clock?n=0", 400},
		{"GET", "/clock?n=-1", 400},
		{"GET", "/clock?n=soon", 400},
		{"GET", "/clock?n=99999999999999999999", 400},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(tt.method, tt.url, nil))
		if w.Code != tt.status {
			t.Errorf("%s %s = %d, want %d", tt.method, tt.url, w.Code, tt.status)
		}
		if tt.method == "HEAD" && w.Body.Len() != 0 {
			t.Errorf("HEAD %s has the body %q", tt.url, w.Body)
		}
	}
}
