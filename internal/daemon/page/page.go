// Package page is the page at the admin address: how each handler stands, why one does not, how
// it did of late, and what happens. It is written by the daemon, and works as it is; one
// script looks again and adds events as they happen. It asks no other host, changes
// nothing, and takes all names, patterns and texts for foreign.
//
// Any goroutine may call its methods.
package page

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/rates"
)

// Config is what the page tells of.
type Config struct {
	// Overview is how all stand, and the versions of each, the newest first.
	Overview func(ctx context.Context) (api.Status, map[string][]api.Past, error)
	Rates    *rates.Book
	Events   *events.Book
	Stopping <-chan struct{} // closed once the service ends
}

// Page is the page of one daemon.
type Page struct {
	cfg     Config
	boot    string        // tells one daemon's numbers of events from another's
	streams chan struct{} // as many as there may be
	limits  limits

	mu     sync.Mutex // held while the page is made: once for all who ask meanwhile
	made   time.Time
	of     uint64 // the last event on it
	status int
	text   []byte
}

const (
	// fresh is how old a page may be that somebody gets; one that lacks an event is not shown.
	fresh = time.Second
	// overviewWait bounds the wait for the supervisor.
	overviewWait = 2 * time.Second
)

//go:embed assets
var assets embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"plain": plain}).ParseFS(assets, "assets/*.html"))

// New returns the page. Nothing is read before somebody asks for it.
func New(cfg Config) *Page {
	return &Page{
		cfg: cfg, boot: fmt.Sprintf("%x", time.Now().UnixNano()), streams: make(chan struct{}, mostStreams), limits: usual,
	}
}

// policy lets a browser load what is the page's own, and nothing in the page's text run or
// look like anything.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Register adds the page, its parts and its stream of events.
func (p *Page) Register(mux *http.ServeMux) {
	guard := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
			h(w, r)
		}
	}
	mux.HandleFunc("GET /{$}", guard(p.page))
	mux.HandleFunc("GET /events", guard(p.stream))
	for _, part := range []struct{ name, kind string }{
		{"page.css", "text/css; charset=utf-8"}, {"page.js", "text/javascript; charset=utf-8"}, {"icon.svg", "image/svg+xml"},
	} {
		text, err := assets.ReadFile("assets/" + part.name)
		if err != nil {
			panic(err) // it is embedded
		}
		mux.HandleFunc("GET /assets/"+part.name, guard(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", part.kind)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
		}))
	}
}

func (p *Page) page(w http.ResponseWriter, _ *http.Request) {
	status, text := p.current()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(text)
}

// current is the page as it is now, and its status.
func (p *Page) current() (int, []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, _ := p.cfg.Events.Since(0)
	last := uint64(0)
	if n := len(all); n > 0 {
		last = all[n-1].Seq
	}
	if p.text != nil && p.of == last && time.Since(p.made) < fresh {
		return p.status, p.text
	}
	ctx, cancel := context.WithTimeout(context.Background(), overviewWait) // not one client's: others wait for it, too
	defer cancel()
	st, versions, err := p.cfg.Overview(ctx)
	p.status = http.StatusOK
	if err != nil {
		p.status = http.StatusServiceUnavailable
		st.Daemon.Problem = fmt.Sprintf("the supervisor does not answer: %v", err)
	}
	var b bytes.Buffer
	v := view{now: time.Now(), status: st, versions: versions, rates: p.cfg.Rates.Handlers(), events: all}
	shown := v.shown()
	shown.Last = p.id(last)
	if err := templates.ExecuteTemplate(&b, "page.html", shown); err != nil {
		b.Reset()
		b.WriteString("the page cannot be made")
		p.status = http.StatusInternalServerError
	}
	p.text, p.of, p.made = b.Bytes(), last, time.Now()
	return p.status, p.text
}
