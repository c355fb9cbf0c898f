package metrics

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/sirupsen/logrus"
)

// told is what a daemon tells that has something of everything.
func told(t *testing.T, status func(context.Context) (api.Status, error)) (*Metrics, *sums.Book) {
	t.Helper()
	m := New("0.1.0")
	book, happened := sums.New(), events.New(m.Live)
	h := counter.MapHandlers(book.Open(1, []link.Plugin{{Name: "users"}}), 1)[0]
	for _, took := range []time.Duration{time.Millisecond, 30 * time.Millisecond, time.Hour} {
		h.Begin("GET", time.Now())
		h.End("GET", time.Now(), 200, took, 0, 100)
	}
	h.Begin("GET", time.Now())
	h.End("BREW", time.Now(), 418, time.Second, 7, 0)
	h.Begin("GET", time.Now())
	g := counter.MapGate(book.OpenGate())
	g.Answer(404)
	g.Accepted.Add(3)
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(happened)
	log.WithFields(logrus.Fields{event.Field: event.Crashed, "handler": "users"}).Error("crashed")
	log.WithFields(logrus.Fields{event.Field: event.Live, "handler": "users", events.After: 30 * time.Microsecond}).Info("live")
	log.WithFields(logrus.Fields{event.Field: event.Live, "handler": "old", events.After: 24 * time.Hour}).Info("live")
	m.Built("cell", 3*time.Second, errors.New("no"))
	m.Collect(Config{Sums: book, Events: happened, Status: status, Syncs: follows})
	return m, book
}

func follows() []api.Sync {
	return []api.Sync{{
		Name: "shop", Ref: "registry/shop:prod", Digest: "sha256:1", Agreed: time.Unix(2e9, 0), Tried: time.Unix(3e9, 0),
		Refused: map[string]api.Refusal{"users": {}}, Bytes: 7, Refusals: 3, Failures: 2,
	}, {Name: "new"}}
}

func stand(context.Context) (api.Status, error) {
	return api.Status{Daemon: api.Daemon{GateConns: 5, Problem: "ill", Certificates: []api.Certificate{
		{File: "/a.pem", NotAfter: time.Unix(2e9, 0)}, {File: "/a.pem", NotAfter: time.Unix(1e9, 0)}, {File: "/b.pem", NotAfter: time.Unix(3e9, 0)},
	}}, Handlers: []api.Handler{
		{Name: "users", State: api.StateLive, PID: 7, Restarts: 2, MemoryBytes: 4096, CPUSeconds: 0.5, Descriptors: 9},
		{Name: "users", State: api.StateRetiring, PID: 6},
		{Name: "a", State: api.StateLive, PID: 8, Group: "small"}, {Name: "b", State: api.StateLive, PID: 8, Group: "small"},
		{Name: "new", State: api.StateSeen}, {Name: "bad", State: api.StateRefused},
		{Name: "users.canary", State: api.StateCanary, Canary: &api.Canary{Weight: 0.05}},
	}}, nil
}

// What was counted, and how all stand, is told.
func TestText(t *testing.T) {
	m, _ := told(t, stand)
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`http_server_request_duration_seconds_bucket{code="2xx",handler="users",le="0.005"} 1`,
		`http_server_request_duration_seconds_bucket{code="2xx",handler="users",le="0.05"} 2`,
		`http_server_request_duration_seconds_bucket{code="2xx",handler="users",le="10"} 2`,
		`http_server_request_duration_seconds_bucket{code="2xx",handler="users",le="+Inf"} 3`,
		`http_server_request_duration_seconds_sum{code="2xx",handler="users"} 3600.031`,
		`http_server_request_duration_seconds_count{code="4xx",handler="users"} 1`,
		`plugserver_requests_total{code="2xx",handler="users",method="GET"} 3`,
		`plugserver_requests_total{code="4xx",handler="users",method="_OTHER"} 1`,
		`plugserver_requests_in_flight{handler="users"} 1`,
		`plugserver_request_body_bytes_total{handler="users"} 7`,
		`plugserver_response_body_bytes_total{handler="users"} 300`,
		`plugserver_handler_restarts_total{handler="users"} 2`,
		`plugserver_handlers{state="live"} 3`,
		`plugserver_handlers{state="quarantined"} 0`,
		`plugserver_handlers{state="canary"} 1`,
		`plugserver_canary_weight{handler="users.canary"} 0.05`,
		`plugserver_events_total{event="crashed",handler="users"} 1`,
		`plugserver_cell_memory_bytes{cell="users"} 4096`,
		`plugserver_cell_cpu_seconds_total{cell="small"} 0`,
		`plugserver_gate_responses_total{code="404"} 1`,
		`plugserver_gate_connections_accepted_total 3`,
		`plugserver_gate_connections 5`,
		`plugserver_live_seconds_count 1`, // and not what was there before
		`plugserver_build_seconds_count{result="failed",what="cell"} 1`,
		`plugserver_sync_info{digest="sha256:1",ref="registry/shop:prod",sync="shop"} 1`,
		`plugserver_sync_last_success_timestamp_seconds{sync="shop"} 2e+09`, `plugserver_sync_last_success_timestamp_seconds{sync="new"} 0`,
		`plugserver_sync_last_attempt_timestamp_seconds{sync="shop"} 3e+09`, `plugserver_sync_refused_handlers{sync="shop"} 1`,
		`plugserver_sync_refusals_total{sync="shop"} 3`, `plugserver_sync_failures_total{sync="shop"} 2`, `plugserver_sync_pulled_bytes_total{sync="shop"} 7`,
		`plugserver_up 1`, `plugserver_problem 1`,
		`plugserver_certificate_expiry_timestamp_seconds{file="/a.pem"} 2e+09`, `plugserver_certificate_expiry_timestamp_seconds{file="/b.pem"} 3e+09`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	if _, again := m.Text(); again != nil {
		t.Error(again)
	}
}

// promtool's own rules find nothing wrong. (promtool check metrics runs the same code.)
func TestLint(t *testing.T) {
	m, _ := told(t, stand)
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Where the supervisor does not answer, the rest is told all the same.
func TestNotUp(t *testing.T) {
	m, _ := told(t, func(context.Context) (api.Status, error) { return api.Status{}, errors.New("it hangs") })
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, "plugserver_up 0\n") || !strings.Contains(body, `plugserver_requests_in_flight{handler="users"} 1`) {
		t.Errorf("%d: %s", w.Code, body)
	}
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w = httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(w.Body.String(), "# EOF\n") {
		t.Errorf("%v: %s", w.Header(), w.Body)
	}
}

// A process's end, and another's beginning, turns no counter back.
func TestMonotonous(t *testing.T) {
	m, book := told(t, stand)
	book.Close(1)
	book.Open(2, []link.Plugin{{Name: "users"}})
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`plugserver_requests_total{code="2xx",handler="users",method="GET"} 3`,
		`plugserver_requests_in_flight{handler="users"} 0`,
		`plugserver_requests_lost_total{handler="users"} 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
}

// plugserverd(8) names each of ours, and no other.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../../packaging/deb/man/plugserverd.8")
	if err != nil {
		t.Fatal(err)
	}
	m, _ := told(t, stand)
	text, err := m.Text()
	if err != nil {
		t.Fatal(err)
	}
	names := func(re, in string) (all []string) {
		for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(in, -1) {
			all = append(all, m[1])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	has := names(`(?m)^# TYPE ((?:plugserver|http_server)_\w+) `, text)
	says := names(`(?m)^\.Li ((?:plugserver|http_server)_\w+)`, string(page))
	if !slices.Equal(has, says) {
		t.Errorf("told are %q, plugserverd(8) says %q", has, says)
	}
}
