package page

import (
	"context"
	"errors"
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/rates"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/sirupsen/logrus"
)

// happen is the log of a book.
func happen(b *events.Book, text string, fields logrus.Fields) {
	e := &logrus.Entry{Time: time.Now(), Level: logrus.InfoLevel, Message: text, Data: logrus.Fields{event.Field: event.Live}}
	for k, v := range fields {
		e.Data[k] = v
	}
	b.Fire(e)
}

// ask gets a path of the page.
func ask(p *Page, path string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	p.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// stand returns a page of these handlers.
func stand(past map[string][]api.Past, all ...api.Handler) *Page {
	return New(Config{
		Overview: func(context.Context) (api.Status, map[string][]api.Past, error) {
			return api.Status{Daemon: api.Daemon{Version: "1.2.3", Since: time.Now(), Handlers: "/srv"}, Handlers: all}, past, nil
		},
		Rates: rates.New(nil), Events: events.New(nil),
	})
}

// It tells what operators look for, what needs them first.
func TestPage(t *testing.T) {
	users := new(sums.Sum)
	book := rates.New(func() map[string]*sums.Sum { return map[string]*sums.Sum{"users": users} })
	p := stand(map[string][]api.Past{"users": {{Version: "bbbbbbbbbbbb", Live: time.Now(), Current: true}, {Version: "aaaaaaaaaaaa", Live: time.Unix(0, 0), Bad: true}}},
		api.Handler{Name: "calm", State: api.StateLive, Version: "cccccccccccc"},
		api.Handler{Name: "users", State: api.StateLive, Version: "bbbbbbbbbbbb", Patterns: []string{"GET /users/{id}"}, Since: time.Now()},
		api.Handler{Name: "wrong", State: api.StateRefused, Refusal: &api.Refusal{Reason: "it is none", Mend: "build it so", Or: []string{"or else"}}, GaveWay: &api.Refusal{Reason: "rolled back", Mend: "roll it forth"}},
	)
	book.Look()
	users.Requests[0][2][0], users.Nanos[2], users.Requests[0][5][0], users.InFlight = 1499, 1499*uint64(2*time.Millisecond), 1, 3
	book.Look()
	p.cfg.Rates = book
	happen(p.cfg.Events, "live: users", nil)
	happen(p.cfg.Events, "refused: wrong", logrus.Fields{"reason": "it is none", "mend": "build it so"})
	w := ask(p, "/")
	text := strings.Join(strings.Fields(regexp.MustCompile("<[^>]*>").ReplaceAllString(w.Body.String(), " ")), " ")
	for _, want := range []string{
		"2 live", "1 refused", "version 1.2.3", "wrong refused", "it is none", "Fix build it so", "Or or else", "rolled back Fix roll it forth",
		"users live GET /users/{id}", "version bbbbbbbbbbbb since", "1\u202f500 requests, 3 in flight", "2 versions", "bbbbbbbbbbbb live", "serves", "aaaaaaaaaaaa live 1970-01-01", "crashed too often",
		"rate 300/s", "errors 1 ", "time 2.0 ms", "refused: wrong", "live: users",
	} {
		if !strings.Contains(html.UnescapeString(text), strings.Join(strings.Fields(want), " ")) && !strings.Contains(html.UnescapeString(text), want) {
			t.Errorf("there is no %q", want)
		}
	}
	if w.Code != 200 || strings.Index(text, "wrong refused") > strings.Index(text, "users live") || strings.Index(text, "refused: wrong") > strings.Index(text, "live: users") {
		t.Errorf("%d, or in another order", w.Code)
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Whatever a handler calls itself, says or is refused for is text: it makes no element and no
// attribute, and turns no direction.
func TestHostile(t *testing.T) {
	evil := "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}javascript:\u202egnp\x1b[2J\u200b\xff\r\n\ndata: x"
	calm := "calm"
	shape := func(word string) (page, item string) {
		p := stand(map[string][]api.Past{word: {{Version: "aaaaaaaaaaaa", Live: time.Now()}}},
			api.Handler{Name: word, State: api.StateRefused, Version: "aaaaaaaaaaaa", Patterns: []string{word}, Doing: word, Group: word, Refusal: &api.Refusal{Reason: word, Mend: word, Or: []string{word}}})
		overview := p.cfg.Overview
		p.cfg.Overview = func(ctx context.Context) (api.Status, map[string][]api.Past, error) {
			st, past, err := overview(ctx)
			st.Daemon.Problem, st.Daemon.Notes, st.Daemon.Listeners, st.Daemon.Handlers, st.Daemon.Version = word, []string{word}, []string{word}, word, word
			return st, past, err
		}
		happen(p.cfg.Events, word, logrus.Fields{"handler": word, "reason": word, "mend": word})
		all, _ := p.cfg.Events.Since(0)
		return ask(p, "/").Body.String(), p.message(all[0])
	}
	tags := func(text string) string {
		all := regexp.MustCompile("<[^>]*>").FindAllString(text, -1)
		values := regexp.MustCompile(`="[^"]*"`)
		return values.ReplaceAllString(strings.Join(all, "\n"), `=""`)
	}
	evilPage, evilItem := shape(evil)
	calmPage, calmItem := shape(calm)
	for _, both := range [][2]string{{evilPage, calmPage}, {evilItem, calmItem}} {
		if tags(both[0]) != tags(both[1]) {
			t.Errorf("other elements: %s", tags(both[0]))
		}
		if strings.ContainsAny(both[0], "\u202e\x1b\u200b\r") || !strings.Contains(both[0], `\u202e`) {
			t.Error("what does not print is there")
		}
	}
	for line := range strings.Lines(evilItem) {
		if !strings.HasPrefix(line, "data: ") && !strings.HasPrefix(line, "id: ") && line != "\n" {
			t.Errorf("a field of its own: %q", line)
		}
	}
	if strings.Count(evilItem, "\n\n") != 1 {
		t.Errorf("more than one message: %q", evilItem)
	}
}

// Nothing on it needs more than the policy allows, and no address is another host's.
func TestOwn(t *testing.T) {
	w := ask(stand(nil, api.Handler{Name: "a", State: api.StateLive}), "/")
	if got := w.Header().Get("Content-Security-Policy"); got != policy {
		t.Errorf("policy %q", got)
	}
	body := w.Body.String()
	for _, never := range []string{`<style`, ` style=`, `<script>`, ` onclick`, ` onload`, `http:`, `https:`, `"//`} {
		if strings.Contains(body, never) {
			t.Errorf("there is %q", never)
		}
	}
	fs.WalkDir(assets, "assets", func(path string, d fs.DirEntry, _ error) error {
		text, _ := fs.ReadFile(assets, path)
		own := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "") // a name, no address
		if regexp.MustCompile(`https?:|url\(|@import|innerHTML|eval\(`).MatchString(own) {
			t.Errorf("%s asks others, or runs text", path)
		}
		return nil
	})
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if strings.HasPrefix(m[1], "assets/") && ask(stand(nil), "/"+m[1]).Code != 200 {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// Many who ask have one answer made for them; it is made anew for an event, and where
// the supervisor does not answer that is said, and the events are there.
func TestCurrent(t *testing.T) {
	p := stand(nil)
	var made atomic.Int64
	var wrong error
	p.cfg.Overview = func(context.Context) (api.Status, map[string][]api.Past, error) {
		made.Add(1)
		return api.Status{}, nil, wrong
	}
	for range 50 {
		ask(p, "/")
	}
	if n := made.Load(); n > 2 {
		t.Errorf("made %d times", n)
	}
	wrong = errors.New("it hangs")
	happen(p.cfg.Events, "live: users", nil)
	w := ask(p, "/")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "the supervisor does not answer: it hangs") || !strings.Contains(w.Body.String(), "live: users") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 150 * time.Second: "2 min", 3*time.Hour + 4*time.Minute: "3 h 4 min", 50 * time.Hour: "2 d 2 h",
	} {
		if got := lasts(d); got != want {
			t.Errorf("%v lasts %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", 999: "0 s", 1500: "1.5 µs", 42 * time.Microsecond: "42 µs", 1200 * time.Microsecond: "1.2 ms", 3 * time.Second: "3.0 s",
	} {
		if got := took(d); got != want {
			t.Errorf("%v took %q, want %q", d, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0/s", .2: "0.2/s", 12.4: "12/s", 12345: "12\u202f345/s"} {
		if got := perSecond(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// The newest value is at the right end, the largest at the top, and time that was not seen is
// left out.
func TestCurve(t *testing.T) {
	if line, area := curve([]float64{0, 2, 1}); line != "115.9,26.5 118.0,1.5 120.0,14.0" || area != "115.9,28 "+line+" 120,28" {
		t.Errorf("%s; %s", line, area)
	}
	if line, area := curve(make([]float64, 5)); line+area != "" {
		t.Errorf("%s; %s", line, area)
	}
}
