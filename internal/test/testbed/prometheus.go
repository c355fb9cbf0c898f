package testbed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Prometheus is Debian's, which asks for one metric all the time.
type Prometheus struct {
	URL string

	tb    TB
	value atomic.Value // of the metric, a string
	asked string       // path of the log of what it was asked
}

// PrometheusMetric is the name of the metric.
const PrometheusMetric = "app_errors"

// StartPrometheus starts one for which the metric has the value; it takes some 5 s until it
// knows, for which Set waits.
func StartPrometheus(tb TB, value string) *Prometheus {
	tb.Helper()
	p := &Prometheus{tb: tb, URL: fmt.Sprintf("http://127.0.0.1:%d", freePort(tb))}
	p.value.Store(value)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", PrometheusMetric, p.value.Load())
	}))
	tb.Cleanup(target.Close)
	dir := NewDir(tb)
	config := filepath.Join(dir, "prometheus.yml")
	p.asked = filepath.Join(dir, "asked")
	text := fmt.Sprintf("global: {scrape_interval: 100ms, scrape_timeout: 100ms, query_log_file: %q}\nscrape_configs: [{job_name: app, static_configs: [{targets: [%q]}]}]\n", p.asked, strings.TrimPrefix(target.URL, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		tb.Fatalf("%v", err)
	}
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+dir, "--web.listen-address="+strings.TrimPrefix(p.URL, "http://"), "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return p
}

// Set gives the metric another value, and returns once Prometheus knows.
func (p *Prometheus) Set(value string) {
	p.tb.Helper()
	p.value.Store(value)
	query := p.URL + "/api/v1/query?query=" + url.QueryEscape(PrometheusMetric+"=="+value)
	p.until("it knows "+value, func() bool {
		answer, err := http.Get(query)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return err == nil && strings.Contains(string(body), `"value":[`)
	})
}

// Asked returns once it has answered a query of that text.
func (p *Prometheus) Asked(query string) {
	p.tb.Helper()
	p.until("it was asked "+query, func() bool {
		text, _ := os.ReadFile(p.asked)
		for _, line := range bytes.Split(text, []byte("\n")) {
			var l struct{ Params struct{ Query string } }
			if json.Unmarshal(line, &l) == nil && l.Params.Query == query {
				return true
			}
		}
		return false
	})
}

func (p *Prometheus) until(what string, ok func() bool) {
	p.tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.tb.Fatalf("prometheus: not within a minute: %s", what)
		}
	}
}
