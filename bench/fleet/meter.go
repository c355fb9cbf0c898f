package fleet

import (
	"maps"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// meter stands before the registry, and counts what boxes ask of it, by the second of the scaled clock.
type meter struct {
	proxy *httputil.ReverseProxy
	clock func() time.Time

	mu       sync.Mutex
	kinds    map[string]int
	requests map[int64]int // by second
	bytes    int64
	now      atomic.Int64 // under way
	most     int64        // at once
}

func newMeter(registry string, clock func() time.Time) *meter {
	m := &meter{clock: clock}
	m.reset()
	m.proxy = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	m.proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256}
	m.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) } // nobody answers
	return m
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kinds, m.requests, m.bytes, m.most = make(map[string]int), make(map[int64]int), 0, 0
}

// counted counts an answer's bytes.
type counted struct {
	http.ResponseWriter
	bytes int64
}

func (c *counted) WriteHeader(status int) {
	c.bytes += head
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// head is about what the heads of a request and of its answer have, of Debian's registry in the clear.
const head = 900

func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	second, under := m.clock().Unix(), m.now.Add(1)
	c := &counted{ResponseWriter: w}
	defer func() {
		m.now.Add(-1)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.kinds[kind(r)]++
		m.requests[second]++
		m.bytes += c.bytes
		m.most = max(m.most, under)
	}()
	m.proxy.ServeHTTP(c, r)
}

// kind is what a request asks for.
func kind(r *http.Request) string {
	what := "blob"
	if _, ref, is := strings.Cut(r.URL.Path, "/manifests/"); is && strings.HasPrefix(ref, "sha256:") {
		what = "manifest"
	} else if is {
		what = "tag"
	}
	return r.Method + " " + what
}

// row is what was counted.
func (m *meter) row() (r Row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.Kinds, r.Bytes, r.AtOnce = maps.Clone(m.kinds), m.bytes, m.most
	minutes := make(map[int64]int)
	for at, n := range m.requests {
		minutes[at/60] += n
		r.Second, r.Minute = max(r.Second, n), max(r.Minute, minutes[at/60])
	}
	return r
}
