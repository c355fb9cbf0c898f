package handover

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A connection that a handler has taken is its own: whichever way the request
// came, the handler's goroutines read it with their deadlines, its context and
// its handler's end do nothing to it, and its Close ends it.
func TestHijacked(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		ctx, returned := r.Context(), make(chan bool)
		defer close(returned)
		ctx.Done() // nobody may begin to watch the client
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read until the deadline: %v", err)
		}
		if ctx.Err() != nil {
			t.Errorf("the deadline has ended the context: %v", ctx.Err())
		}
		c.SetReadDeadline(time.Time{})
		io.WriteString(c, "taken\n")
		go func() {
			defer c.Close()
			<-returned
			<-ctx.Done()
			line, err := rw.ReadString('\n')
			fmt.Fprintf(c, "%q %v", line, err)
		}()
	})
	_, b, address := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		}
	})
	for way, head := range map[string]string{
		"moved":               "GET /b HTTP/1.1\r\nHost: x\r\n\r\n",
		"forwarded":           "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"net/http's server's": "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
	} {
		t.Run(way, func(t *testing.T) {
			c := dial(t, address)
			c.conn.SetDeadline(time.Now().Add(5 * time.Second))
			c.write(head)
			if line, err := c.br.ReadString('\n'); line != "taken\n" {
				t.Fatalf("%q, %v", line, err)
			}
			c.write("hello\n")
			if got, err := io.ReadAll(c.br); string(got) != `"hello\n" <nil>` || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			await(t, "the end", func() bool { return b.srv.Conns() == 0 })
		})
	}
}

// A cell that gets no more connections still has requests, whose handlers may take
// their connections; then it gives back the others.
func TestHijackedOfARetired(t *testing.T) {
	begun, told := make(chan bool), make(chan bool)
	mux := http.NewServeMux()
	mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/b/hijack", func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-told
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(c, "taken\n")
		c.Close()
	})
	mux.Handle("/", Elsewhere)
	a, b, address := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		}
	})
	idle, taken := dial(t, address), dial(t, address)
	idle.write("GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err := http.ReadResponse(idle.br, nil); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	taken.write("GET /b/hijack HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	a.other.CloseWrite()
	close(told)
	if line, err := taken.br.ReadString('\n'); line != "taken\n" {
		t.Fatalf("%q, %v", line, err)
	}
	b.srv.Retire()
	idle.write("GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	idle.expect("a", "GET", "/a", "")
}

// net/http keeps a connection that asks both to be kept and to be closed, in
// HTTP/1.0.
func TestKeptThoughItIsToBeClosed(t *testing.T) {
	_, _, address := newSides(t, Limits{})
	c := dial(t, address)
	c.conn.SetDeadline(time.Now().Add(5 * time.Second))
	for range 3 {
		c.write("GET /b HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n")
		resp, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(body), "b GET /b") {
			t.Fatalf("%q, %v", body, err)
		}
	}
}
