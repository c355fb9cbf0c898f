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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary is its own client, run again in a network of boxes: with
// PLUGSERVER_CLIENT set, to a party, it is no test.
func TestMain(m *testing.M) {
	if text := os.Getenv("PLUGSERVER_CLIENT"); text != "" {
		var p party
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			panic(err)
		}
		p.ask()
		return
	}
	os.Exit(m.Run())
}

const address = "127.0.0.1:8080"

// party is some clients of a server.
type party struct {
	Address, Path string
	Keepers       int // that keep their connection
	Callers       int // that make one for each request
	Pause         time.Duration
}

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
	Bodies            map[string]int
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
	for k, n := range o.Bodies {
		c.Bodies[k] += n
	}
}

func newCounts() counts {
	return counts{Status: map[int]int{}, Errors: map[string]int{}, Bodies: map[string]int{}}
}

const (
	keepers = 16 // clients that keep their connection
	callers = 4  // clients that make one for each request
	clients = keepers + callers
)

// ask asks until stdin ends, and prints counts.
func (p party) ask() {
	ctx, stop := context.WithCancel(context.Background())
	go func() { io.Copy(io.Discard, os.Stdin); stop() }()
	total := newCounts()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range p.Keepers + p.Callers {
		wg.Go(func() {
			c := p.client(ctx, i < p.Keepers)
			mu.Lock()
			defer mu.Unlock()
			total.add(c)
		})
	}
	wg.Wait()
	json.NewEncoder(os.Stdout).Encode(total)
}

// client is one of them.
func (p party) client(ctx context.Context, keep bool) counts {
	c := newCounts()
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
			conn, err = net.DialTimeout("tcp", p.Address, 20*time.Second)
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
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: box\r\n\r\n", p.Path)
		late := used && time.Since(before) > linger
		var resp *http.Response
		if err == nil {
			resp, err = http.ReadResponse(br, nil)
		}
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
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
			time.Sleep(p.Pause)
			continue
		case resp.StatusCode == http.StatusOK:
			c.OK++
		default:
			c.Status[resp.StatusCode]++
		}
		c.Bodies[strings.TrimSpace(string(body[:min(len(body), 64)]))]++
		if !keep || resp.Close {
			hangUp()
		}
		time.Sleep(p.Pause)
	}
	return c
}

// begin has them ask, in a network, until the function that it returns is called, which returns what they saw.
func (p party) begin(t *testing.T, netns string) (end func() counts) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--net="+netns, "--", self)
	cmd.Env = append(os.Environ(), "PLUGSERVER_CLIENT="+string(text))
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
	over := sync.OnceFunc(func() { in.Close(); cmd.Wait() })
	t.Cleanup(over)
	return func() (c counts) {
		t.Helper()
		in.Close()
		if err := json.NewDecoder(out).Decode(&c); err != nil {
			t.Fatal(err)
		}
		over()
		return c
	}
}

// load runs clients in the box's network while it runs during, which is given
// time to see them at work before and after.
func (b *box) load(t *testing.T, path string, during func()) counts {
	t.Helper()
	end := party{Address: address, Path: path, Keepers: keepers, Callers: callers}.begin(t, fmt.Sprintf("/proc/%d/ns/net", b.leader))
	time.Sleep(300 * time.Millisecond)
	during()
	time.Sleep(300 * time.Millisecond)
	c := end()
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
