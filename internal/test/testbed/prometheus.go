package testbed

import (
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
	text := fmt.Sprintf("global: {scrape_interval: 100ms, scrape_timeout: 100ms}\nscrape_configs: [{job_name: app, static_configs: [{targets: [%q]}]}]\n", strings.TrimPrefix(target.URL, "http://"))
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
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := http.Get(query); err == nil {
			said, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if strings.Contains(string(said), `"value":[`) {
				return
			}
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("prometheus does not come to know %s", value)
		}
	}
}
