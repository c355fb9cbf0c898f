//go:build systemd

package systemd

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
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary is its own client, run again in the box's network: with
// PLUGSERVER_CLIENT set it is no test.
func TestMain(m *testing.M) {
	if path := os.Getenv("PLUGSERVER_CLIENT"); path != "" {
		load(path)
		return
	}
	os.Exit(m.Run())
}

const address = "127.0.0.1:8080"

// counts are what clients saw. A client never sends a request twice.
type counts struct {
	Sent    int // requests
	OK      int // answered 200
	Refused int // connections
	// Fresh is requests unanswered on a connection just made, Idle those on
	// one that had served before, Late those of these before which the
	// connection may have been idle for longer than linger: a server that ends
	// may have closed it as they were on their way.
	Fresh, Idle, Late int
	Status            map[int]int // other answers
	Errors            map[string]int
	Longest           time.Duration // a request's, from connecting to the answer's end
}

// linger is how long plugserverd keeps a connection for one more request while it
// ends.
const linger = 200 * time.Millisecond

// failed is how many requests a client has lost that it may never lose.
func (c counts) failed() int {
	n := c.Fresh + c.Idle
	for _, k := range c.Status {
		n += k
	}
	return n
}

func (c counts) String() string {
	return fmt.Sprintf("%d requests sent, %d failed (%d on a fresh, %d on a kept connection, by status %v; %d after a pause), %d connections refused; longest %v %v",
		c.Sent, c.failed(), c.Fresh, c.Idle, c.Status, c.Late, c.Refused, c.Longest.Round(time.Millisecond), c.Errors)
}

func (c *counts) add(o counts) {
	c.Sent += o.Sent
	c.OK += o.OK
	c.Refused += o.Refused
	c.Fresh += o.Fresh
	c.Idle += o.Idle
	c.Late += o.Late
	c.Longest = max(c.Longest, o.Longest)
	for k, n := range o.Status {
		c.Status[k] += n
	}
	for k, n := range o.Errors {
		c.Errors[k] += n
	}
}

const (
	keepers = 16 // clients that keep their connection
	callers = 4  // clients that make one for each request
	clients = keepers + callers
)

// load asks for path until stdin ends, and prints counts.
func load(path string) {
	ctx, stop := context.WithCancel(context.Background())
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()
	total := counts{Status: map[int]int{}, Errors: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c := ask(ctx, path, i < keepers)
			mu.Lock()
			defer mu.Unlock()
			total.add(c)
		})
	}
	wg.Wait()
	json.NewEncoder(os.Stdout).Encode(total)
}

// ask is one client.
func ask(ctx context.Context, path string, keep bool) counts {
	c := counts{Status: map[int]int{}, Errors: map[string]int{}}
	var conn net.Conn
	var br *bufio.Reader
	hangUp := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	defer hangUp()
	var began time.Time
	for ctx.Err() == nil {
		before := began
		began = time.Now()
		used := conn != nil
		if !used {
			var err error
			conn, err = net.DialTimeout("tcp", address, 20*time.Second)
			if err != nil {
				conn = nil
				if errors.Is(err, syscall.ECONNREFUSED) {
					c.Refused++
				} else {
					c.Sent++
					c.Fresh++
				}
				c.Errors[err.Error()]++
				time.Sleep(time.Millisecond)
				continue
			}
			br = bufio.NewReader(conn)
		}
		c.Sent++
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: box\r\n\r\n", path)
		late := used && time.Since(before) > linger
		var resp *http.Response
		if err == nil {
			resp, err = http.ReadResponse(br, nil)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		c.Longest = max(c.Longest, time.Since(began))
		switch {
		case err != nil:
			switch {
			case late:
				c.Late++
			case used:
				c.Idle++
			default:
				c.Fresh++
			}
			if op := (*net.OpError)(nil); errors.As(err, &op) {
				err = op.Err // without its ports
			}
			c.Errors[err.Error()]++
			hangUp()
			continue
		case resp.StatusCode == http.StatusOK:
			c.OK++
		default:
			c.Status[resp.StatusCode]++
		}
		if !keep || resp.Close {
			hangUp()
		}
	}
	return c
}

// load runs clients in the box's network while it runs during, which is given
// time to see them at work before and after.
func (b *box) load(t *testing.T, path string, during func()) counts {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--target", strconv.Itoa(b.leader), "--net", "--", self)
	cmd.Env = append(os.Environ(), "PLUGSERVER_CLIENT="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	time.Sleep(300 * time.Millisecond)
	during()
	time.Sleep(300 * time.Millisecond)
	in.Close()
	var c counts
	if err := json.NewDecoder(out).Decode(&c); err != nil {
		t.Fatal(err)
	}
	t.Log(c)
	if c.OK == 0 {
		t.Error("no request was answered: there was no load")
	}
	return c
}

// get is one request; status 0 stands for no answer.
func (b *box) get(path string) (status int, body string) {
	out, err := b.try("curl", "--silent", "--max-time", "20", "--write-out", "\n%{http_code}", "http://"+address+path)
	if err != nil {
		return 0, out
	}
	i := len(out) - 4
	status, _ = strconv.Atoi(out[i+1:])
	return status, out[:i]
}

// want fails the test unless path is answered so.
func (b *box) want(t *testing.T, path string, status int, body string) {
	t.Helper()
	s, text := b.get(path)
	if s != status || body != "" && text != body {
		t.Fatalf("GET %s: got %d %q, want %d %q", path, s, text, status, body)
	}
}
