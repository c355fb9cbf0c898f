package page

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/sirupsen/logrus"
)

// streaming returns a page that is served, without handlers.
func streaming(t *testing.T, stopping <-chan struct{}) (*Page, *httptest.Server) {
	p := New(Config{Events: events.New(nil), Stopping: stopping})
	mux := http.NewServeMux()
	p.Register(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return p, s
}

// look begins to look on.
func look(t *testing.T, s *httptest.Server, after string) (*http.Response, *bufio.Reader) {
	t.Helper()
	r, _ := http.NewRequest("GET", s.URL+"/events", nil)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp, bufio.NewReader(resp.Body)
}

// next is the name of the next event, and its text.
func next(t *testing.T, r *bufio.Reader) (id, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case line == "\n" && id != "":
			return id, text
		case strings.HasPrefix(line, "id: "):
			id = strings.TrimSpace(line[4:])
		case strings.HasPrefix(line, "data: "):
			text += line[6:]
		}
	}
}

// Events come as they happen; who comes again has those that he has missed, and from another
// daemon all.
func TestStream(t *testing.T) {
	stopping := make(chan struct{})
	p, s := streaming(t, stopping)
	happen(p.cfg.Events, "first", nil)
	resp, r := look(t, s, p.id(0))
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(resp.Header)
	}
	first, text := next(t, r)
	if !strings.Contains(text, "<p>first</p>") {
		t.Errorf("got %q", text)
	}
	happen(p.cfg.Events, "second", nil)
	if _, text := next(t, r); !strings.Contains(text, "<p>second</p>") {
		t.Errorf("got %q", text)
	}
	for after, want := range map[string]string{first: "second", "beef-1": "first", "nonsense": "first"} {
		_, r := look(t, s, after)
		if _, text := next(t, r); !strings.Contains(text, want) {
			t.Errorf("after %s came %q", after, text)
		}
	}
	close(stopping)
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the stream does not end in order: %v", err)
	}
	if resp, _ := look(t, s, ""); resp.StatusCode != 503 {
		t.Errorf("another begins: %s", resp.Status)
	}
}

// There are so many streams; who leaves makes room, and so does time.
func TestMostStreams(t *testing.T) {
	p, s := streaming(t, nil)
	var first *http.Response
	for i := range mostStreams {
		resp, _ := look(t, s, "")
		if resp.StatusCode != 200 {
			t.Fatalf("stream %d: %s", i, resp.Status)
		}
		if first == nil {
			first = resp
		}
	}
	if resp, _ := look(t, s, ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s", resp.Status)
	}
	first.Body.Close()
	p.streams <- struct{}{} // it waits for the room that the first has left
	<-p.streams
	if resp, _ := look(t, s, ""); resp.StatusCode != 200 {
		t.Errorf("in the place of the first: %s", resp.Status)
	}
}

func TestStreamHasItsTurn(t *testing.T) {
	p, s := streaming(t, nil)
	p.limits.whole, p.limits.beat = 50*time.Millisecond, 10*time.Millisecond
	_, r := look(t, s, "")
	if all, err := io.ReadAll(r); err != nil || !strings.Contains(string(all), ":\n\n") {
		t.Errorf("%q, %v", all, err)
	}
}

// Who does not read what comes is dropped, and holds nothing: the room is another's.
func TestSlow(t *testing.T) {
	p, s := streaming(t, nil)
	p.limits.write = 50 * time.Millisecond
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprint(c, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReaderSize(c, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatal(line, err)
	}
	long := strings.Repeat("x", 64<<10)
	for range 200 { // more than the kernel holds for him
		happen(p.cfg.Events, long, logrus.Fields{"handler": "a"})
	}
	for range mostStreams { // all the room there is
		select {
		case p.streams <- struct{}{}:
		case <-time.After(10 * time.Second):
			t.Fatal("he is still there")
		}
	}
}
