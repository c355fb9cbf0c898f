// Package metrics tells Prometheus, and what else reads its text, how the service does.
// What is told is put together when somebody asks. The labels are of handlers, of
// the gate and of fixed words: nothing that a client sends makes a new one.
package metrics

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// Config is where the numbers are.
type Config struct {
	Version string
	Sums    *sums.Book
	Events  *events.Book
	Access  *accesslog.Log // or nil
	// Status is how all stand, with what their processes use. It may take a moment, and
	// gives up when the context is done.
	Status func(ctx context.Context) (api.Status, error)
	// Syncs are the desired states that the directory follows.
	Syncs func() []api.Sync
}

// Metrics is what one daemon tells. Any goroutine may call its methods.
type Metrics struct {
	cfg      Config
	began    time.Time
	registry *prometheus.Registry
	live     prometheus.Histogram
	builds   *prometheus.HistogramVec
}

// New returns the metrics of a daemon that begins now. Config's Events may be set later, but
// before anybody asks.
func New(version string) *Metrics {
	m := &Metrics{began: time.Now(), registry: prometheus.NewRegistry()}
	m.cfg.Version = version
	m.live = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "plugserver_live_seconds", Help: "Time from the last change of a handler's file, which is its rename where it was renamed in, until it was live.",
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
	})
	m.builds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "plugserver_build_seconds", Help: "Time that builds of cells and of plugins took, by how they ended.",
		Buckets: []float64{0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600},
	}, []string{"what", "result"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "plugserver_build_info", Help: "Always 1: which plugserverd this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	info.Set(1)
	m.registry.MustRegister(info, m.live, m.builds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Collect makes m tell of the rest, too.
func (m *Metrics) Collect(cfg Config) {
	cfg.Version = m.cfg.Version
	m.cfg = cfg
	m.registry.MustRegister(&collector{cfg})
}

// Live is told that a file was live so long after its last change. What was there
// before the daemon counts for nothing.
func (m *Metrics) Live(took time.Duration) {
	if took >= 0 && took <= time.Since(m.began) {
		m.live.Observe(took.Seconds())
	}
}

// Built is told of the end of a build, of a "cell" or of a "plugin".
func (m *Metrics) Built(what string, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.builds.WithLabelValues(what, result).Observe(took.Seconds())
}

// Handler answers with all of it, in the format that the client prefers. One answer is
// made at a time, beside a few that wait.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, EnableOpenMetrics: true, Timeout: gatherWait,
	})
}

// gatherWait bounds how long an answer may take.
const gatherWait = 10 * time.Second

// Text is all of it, in Prometheus's format.
func (m *Metrics) Text() (string, error) {
	families, err := m.registry.Gather()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	enc := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
