package e2e

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// metric is the sum of the samples whose name and labels the expression matches.
func metric(t *testing.T, text, sample string) (sum int64) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+sample+` (\S+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += int64(n)
	}
	return sum
}

// What is counted is what clients have sent, over new versions, and over the end of a cell
// that nobody could foresee; and by HTTP as by the control socket.
func TestMetrics(t *testing.T) {
	d := testbed.Start(t, testbed.Allow("crashed: busy"), testbed.Flags("--admin-listen", "127.0.0.1:0"))
	admin := d.Admin()
	d.Put("busy", plain(t, "/busy", number(0)))
	d.Put("calm", plain(t, "/calm", "calm"))
	var posted, got atomic.Int64 // of busy
	load := testbed.Plan{Addr: d.Addr, Clients: 4, Fresh: true, Paths: []string{"/busy", "/calm"}, Check: func(path string, a testbed.Answer) error {
		if a.Status != 200 {
			return fmt.Errorf("%s: %d %q", path, a.Status, a.Body)
		}
		if path == "/busy" {
			posted.Add(1)
		}
		return nil
	}}.Run(t)
	get := func() {
		for _, alone := range []bool{true, false} { // forwarded, and moved
			c := d.Dial()
			for range 3 {
				request := "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n"
				if alone {
					request = "GET /busy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
				}
				if a, err := c.Do(request); err != nil || a.Status != 200 {
					t.Fatalf("%d, %v", a.Status, err)
				}
				if got.Add(1); alone {
					break
				}
			}
			c.Close()
		}
	}
	for n := 1; n <= 3; n++ {
		d.Put("busy", plain(t, "/busy", number(n)))
		get()
	}
	load.Rest() // nothing is under way in the cell that is killed, nor any connection
	busy, _ := d.Handler("busy")
	syscall.Kill(busy.PID, syscall.SIGKILL)
	load.Resume()
	d.WaitLog("its restart", testbed.Says("busy", "live again: busy"))
	load.Await(t, 50)
	get()
	d.Want("/nowhere", 404, "404 page not found\n")
	load.End()
	if err := load.Errors(); err != nil {
		t.Fatal(err)
	}

	text := settled(t, d, admin, posted.Load()+got.Load())
	for sample, want := range map[string]int64{
		`plugserver_requests_total{code="2xx",handler="busy",method="POST"}`:                posted.Load(),
		`plugserver_requests_total{code="2xx",handler="busy",method="GET"}`:                 got.Load(),
		`plugserver_requests_total{[^}]*}`:                                                  load.Requests.Load() + got.Load(),
		`http_server_request_duration_seconds_bucket{code="2xx",handler="busy",le="\+Inf"}`: posted.Load() + got.Load(),
		`plugserver_response_body_bytes_total{handler="busy"}`:                              (posted.Load() + got.Load()) * int64(len(number(0))),
		`plugserver_response_body_bytes_total{handler="calm"}`:                              (load.Requests.Load() - posted.Load()) * 4,
		`plugserver_requests_in_flight{[^}]*}`:                                              0,
		`plugserver_requests_lost_total{[^}]*}`:                                             0,
		`plugserver_events_total{event="crashed",handler="busy"}`:                           1,
		`plugserver_handler_restarts_total{handler="busy"}`:                                 1,
		`plugserver_gate_responses_total{code="404"}`:                                       1,
		`plugserver_up`:                     1,
		`plugserver_live_seconds_count`:     5,
		`plugserver_handlers{state="live"}`: 2,
	} {
		if n := metric(t, text, sample); n != want {
			t.Errorf("%s is %d, want %d", sample, n, want)
		}
	}
	stdout, stderr, code := d.Ctl("metrics")
	if n := metric(t, stdout, `plugserver_requests_total{[^}]*}`); code != 0 || stderr != "" || n != load.Requests.Load()+got.Load() {
		t.Errorf("plugserverctl metrics: %d requests, exit %d, %s", n, code, stderr)
	}
	events, stderr, code := d.Ctl("events", "busy")
	if code != 0 || strings.Count(events, " live: busy\n") != 4 || strings.Count(events, " crashed: busy\n") != 1 || !strings.Contains(events, "live again: busy") {
		t.Errorf("plugserverctl events: exit %d, %s%s", code, events, stderr)
	}
	for path, want := range map[string]string{"/readyz": "ok\n", "/healthz": "ok\n"} {
		if body := scrape(t, admin, path); body != want {
			t.Errorf("%s says %q", path, body)
		}
	}
}

// settled returns the metrics once so many requests for busy have ended: an answer is with its
// client before it is counted.
func settled(t *testing.T, d *testbed.Daemon, admin string, requests int64) (text string) {
	t.Helper()
	for end := time.Now().Add(testbed.Patience); ; {
		text = scrape(t, admin, "/metrics")
		if metric(t, text, `plugserver_requests_total{[^}]*handler="busy"[^}]*}`) == requests && metric(t, text, `plugserver_requests_in_flight{[^}]*}`) == 0 {
			return text
		}
		if time.Now().After(end) {
			t.Log(text)
			return text
		}
	}
}

func scrape(t *testing.T, admin, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(body)
}
