package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// quiet is how long a server that waits for the rest of a request is watched.
const quiet = 50 * time.Millisecond

// play plays a case, and returns what is wrong with the answers.
func (c h1Case) play(g target) error {
	nc, err := g.dial()
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(testbed.AnswerWait))
	br := bufio.NewReader(nc)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.WriteString(nc, c.send) // a server may have answered, and ended, before that is all
	}()
	defer func() { nc.Close(); <-sent }()
	if c.rest != "" && c.want != "100" {
		<-sent // or the rest may overtake it
		nc.SetReadDeadline(time.Now().Add(quiet))
		if b, err := br.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("a part is answered: %q, %v", b, err)
		}
		nc.SetReadDeadline(time.Now().Add(testbed.AnswerWait))
		io.WriteString(nc, c.rest)
	}
	method, _, _ := strings.Cut(strings.TrimSpace(c.send), " ")
	for i := range max(1, c.answers) {
		status, body, err := receive(br, method)
		switch {
		case err != nil:
			return fmt.Errorf("answer %d: %w", i+1, err)
		case i == 0 && !allows(c.want, status):
			return fmt.Errorf("got %d, want %s", status, c.want)
		case i == 0 && status == 200 && c.body != "" && body != c.body:
			return fmt.Errorf("got %q, want %q", body, c.body)
		case i > 0 && status != 200:
			return fmt.Errorf("answer %d: got %d", i+1, status)
		case status == 100:
			io.WriteString(nc, c.rest)
		}
	}
	return c.after(nc, br)
}

// after checks what follows the last answer. That a connection ends is seen by no answer
// to another request.
func (c h1Case) after(nc net.Conn, br *bufio.Reader) error {
	if c.then == either {
		return nil
	}
	io.WriteString(nc, "GET / HTTP/1.1\r\n"+host+"\r\n")
	status, body, err := receive(br, "GET")
	switch {
	case c.then == stays && (err != nil || status != 200 || body != "Hello"):
		return fmt.Errorf("the request behind it: got %d %q, %v", status, body, err)
	case c.then == ends && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
		return fmt.Errorf("the connection does not end: %d %q, %v", status, body, err)
	}
	return nil
}

func receive(br *bufio.Reader, method string) (status int, body string, err error) {
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// allows reports whether a status is one of "200 4xx".
func allows(want string, status int) bool {
	got := fmt.Sprint(status)
	return slices.ContainsFunc(strings.Fields(want), func(w string) bool { return w == got || w == got[:1]+"xx" })
}

// failures plays all cases, and returns what is wrong with each that fails.
func failures(g target) map[string]error {
	var mu sync.Mutex
	failed := make(map[string]error)
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, c := range h1Cases {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := c.play(g); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed[c.name] = err
			}
		})
	}
	all.Wait()
	return failed
}

// What RFC 9110 and 9112 demand of a server, and net/http's does, the daemon does, at rest
// and while its handler is replaced.
func TestHTTP1(t *testing.T) {
	t.Parallel()
	clear, secure, s := daemon(t, "at rest", false)
	movingClear, movingSecure, moving := daemon(t, "reloading", true)
	plain, plainSecure := bare(t, s, false)
	right := make(map[bool]map[string]error)
	for _, g := range []target{plain, plainSecure} {
		right[g.secure != nil] = failures(g)
		tell(t, g, 1, right[g.secure != nil])
	}
	compare := func(g target, round int) {
		failed := failures(g)
		tell(t, g, round, failed)
		for name, err := range failed {
			if right[g.secure != nil][name] == nil {
				t.Errorf("%s: %q: %v; net/http's does it", g.name, name, err)
			}
		}
	}
	compare(clear, 1)
	compare(secure, 1)
	for n := range *reloadsFlag {
		mark := moving.Log.Len()
		compare(movingClear, n+1)
		compare(movingSecure, n+1)
		moving.WaitLogFrom(mark, "the next reload", func(e testbed.Entry) bool { return e.Msg() == "live: root" })
		if t.Failed() {
			return
		}
	}
}

func tell(t *testing.T, g target, round int, failed map[string]error) {
	t.Helper()
	t.Logf("%s, round %d: %d of %d", g.name, round, len(h1Cases)-len(failed), len(h1Cases))
	if round == 1 {
		for _, name := range slices.Sorted(maps.Keys(failed)) {
			t.Logf("    %q: %v", name, failed[name])
		}
	}
}
