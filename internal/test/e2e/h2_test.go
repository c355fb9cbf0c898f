package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// h2Client speaks HTTP/2 in the clear, with prior knowledge, over one connection.
func h2Client(t *testing.T) *http.Client {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// streaming answers a line of the client's with one of its version, until the client
// ends.
var streaming = testbed.Go(`package main

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
)

var slot = "VERSION:................................"

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	version := strings.TrimRight(slot, ".")
	return "/stream", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.Proto, version)
		w.(http.Flusher).Flush()
		for in := bufio.NewScanner(r.Body); in.Scan(); w.(http.Flusher).Flush() {
			fmt.Fprintf(w, "%s %s\n", in.Text(), version)
		}
		w.Header().Set(http.TrailerPrefix+"Ended", "yes")
	}
}

func main() {}
`)

// talk is an open stream: lines go out, and lines come back.
type talk struct {
	resp *http.Response
	out  *io.PipeWriter
	in   *bufio.Reader
}

func (k *talk) line(t *testing.T, say, want string) {
	t.Helper()
	if say != "" {
		if _, err := io.WriteString(k.out, say+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := k.in.ReadString('\n'); got != want+"\n" || err != nil {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func open(t *testing.T, c *http.Client, url string) *talk {
	t.Helper()
	r, out := io.Pipe()
	resp, err := c.Post(url, "text/plain", r)
	if err != nil {
		t.Fatal(err)
	}
	return &talk{resp, out, bufio.NewReader(resp.Body)}
}

// The streams of one connection of HTTP/2 go each to its handler. One that is open when
// its handler is replaced ends on the old version, while others of the same connection
// are the new one's; and requests all the while lose nothing, of a handler that is
// replaced or that is killed.
func TestHTTP2(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--http2=all"), testbed.Allow("killed", "crashed", "restart"))
	stream := func(v int) testbed.Plugin {
		return streaming.Build(t).Patched(t, "VERSION:................................", fmt.Sprintf("VERSION:%d", v))
	}
	d.Put("stream", stream(0))
	d.Put("calm", plain(t, "/calm", "calm"))
	c := h2Client(t)
	url := "http://" + d.Addr

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var asked atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := ask(c, url, (i+n)%3); err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	old := open(t, c, url+"/stream")
	old.line(t, "", "HTTP/2.0 VERSION:0")
	old.line(t, "a", "a VERSION:0")
	for v := 1; v <= 8; v++ {
		d.Put("stream", stream(v))
		fresh := open(t, c, url+"/stream")
		fresh.line(t, "", fmt.Sprintf("HTTP/2.0 VERSION:%d", v))
		old.line(t, "b", "b VERSION:0")
		fresh.out.Close()
		if rest, err := io.ReadAll(fresh.in); len(rest) > 0 || err != nil || fresh.resp.Trailer.Get("Ended") != "yes" {
			t.Errorf("the rest of a stream is %q, %v, trailer %q", rest, err, fresh.resp.Trailer)
		}
	}
	old.out.Close()
	if rest, err := io.ReadAll(old.in); len(rest) > 0 || err != nil || old.resp.Trailer.Get("Ended") != "yes" {
		t.Errorf("the rest of the old stream is %q, %v, trailer %q", rest, err, old.resp.Trailer)
	}
	cancel()
	clients.Wait()
	t.Logf("%d requests over 8 replacements", asked.Load())
	ends(t, d, c, url)
}

// ask asks once, for one of three things, and checks the answer.
func ask(c *http.Client, url string, what int) error {
	var resp *http.Response
	var err error
	want := "calm"
	switch what {
	case 0:
		resp, err = c.Get(url + "/calm")
	case 1:
		want = "one VERSION"
		resp, err = c.Post(url+"/stream", "text/plain", strings.NewReader("one\n"))
	default:
		want = "two VERSION"
		resp, err = c.Post(url+"/stream", "text/plain", io.MultiReader(strings.NewReader("two\n"))) // no length
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || !strings.Contains(string(body), want) {
		return fmt.Errorf("%s %d %q, %v", resp.Proto, resp.StatusCode, body, err)
	}
	return nil
}

// ends has the daemon end while a stream is open: that is answered to its end.
func ends(t *testing.T, d *testbed.Daemon, c *http.Client, url string) {
	t.Helper()
	last := open(t, c, url+"/stream")
	last.line(t, "", "HTTP/2.0 VERSION:8")
	go d.Stop()
	d.WaitLog("that it ends", func(e testbed.Entry) bool { return strings.Contains(e.Msg(), "stopping") })
	last.line(t, "c", "c VERSION:8")
	last.out.Close()
	if rest, err := io.ReadAll(last.in); len(rest) > 0 || err != nil {
		t.Errorf("the rest of the last stream is %q, %v", rest, err)
	}
}

// overH2 asks over TLS with HTTP/2: handlers see both, and every answer demands HTTPS.
func overH2(t *testing.T, s *testbed.Secure) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: s.Config.Clone(), ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	for path, want := range map[string]string{"/tell": `protocol "h2", complete true`, "/none": "404 page not found"} {
		resp, err := (&http.Client{Transport: tr}).Get("https://" + s.Secure + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || !strings.Contains(string(body), want) || resp.Header.Get("Strict-Transport-Security") != "max-age=60; includeSubDomains" {
			t.Errorf("%s: %s %q %v, %v", path, resp.Proto, body, resp.Header, err)
		}
	}
}
