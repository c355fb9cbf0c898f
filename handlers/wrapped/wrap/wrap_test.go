package wrap

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func ask(h http.Handler, method string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAll(t *testing.T) {
	mark := func(s string) Wrapper {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s); next.ServeHTTP(w, r) })
		}
	}
	all := All(map[string]http.Handler{"/": http.NotFoundHandler()}, mark("a"), mark("b"))
	if got := ask(all["/"], "GET").Body.String(); got != "ab404 page not found\n" {
		t.Error(got)
	}
}

func TestRequestID(t *testing.T) {
	seen := ""
	h := RequestID(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = ID(r) }))
	if w := ask(h, "GET", "X-Request-Id", "a-1.2_B"); seen != "a-1.2_B" || w.Header().Get("X-Request-Id") != seen {
		t.Errorf("%q, %v", seen, w.Header())
	}
	for _, id := range []string{"", "a b", "a\nb", strings.Repeat("x", 65)} {
		w := ask(h, "GET", "X-Request-Id", id)
		if seen == "" || seen == id || w.Header().Get("X-Request-Id") != seen {
			t.Errorf("%q became %q, %v", id, seen, w.Header())
		}
	}
	if ID(httptest.NewRequest("GET", "/", nil)) != "" {
		t.Error("a request has an ID of nobody's")
	}
}

func TestAuth(t *testing.T) {
	h := Auth(func(token string) (string, bool) { return "ada", token == "t" })(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, User(r)) }))
	if w := ask(h, "GET", "Authorization", "Bearer t"); w.Body.String() != "ada" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, a := range []string{"", "t", "Bearer", "Bearer x", "Basic t", "bearert"} {
		if w := ask(h, "GET", "Authorization", a); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: %d", a, w.Code)
		}
	}
}

func TestCORS(t *testing.T) {
	h := CORS([]string{"https://a.example"}, []string{"GET", "PUT"})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "served") }))
	const origin, wants = "Origin", "Access-Control-Request-Method"
	for _, tt := range []struct {
		name, method string
		header       []string
		status       int
		allowed      string
		methods      string
	}{
		{"no browser", "GET", nil, 200, "", ""},
		{"its page", "GET", []string{origin, "https://a.example"}, 200, "https://a.example", ""},
		{"another's", "GET", []string{origin, "https://b.example"}, 200, "", ""},
		{"a preflight", "OPTIONS", []string{origin, "https://a.example", wants, "PUT"}, 204, "https://a.example", "GET, PUT"},
		{"another's", "OPTIONS", []string{origin, "https://b.example", wants, "PUT"}, 204, "", ""},
		{"no preflight", "OPTIONS", []string{origin, "https://a.example"}, 200, "https://a.example", ""},
	} {
		w := ask(h, tt.method, tt.header...)
		got := w.Header()
		if w.Code != tt.status || got.Get("Access-Control-Allow-Origin") != tt.allowed || got.Get("Access-Control-Allow-Methods") != tt.methods || !slices.Contains(got.Values("Vary"), "Origin") {
			t.Errorf("%s: %d, %v", tt.name, w.Code, got)
		}
	}
}

// Whatever is compressed says the same, and what is not is as it was.
func TestGzip(t *testing.T) {
	long := strings.Repeat("some text ", 1000)
	answers := map[string]struct {
		h    http.HandlerFunc
		zips bool
	}{
		"text": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, long) }, true},
		"with a head": {func(w http.ResponseWriter, r *http.Request) {
			head(w, 404, "Content-Type", "application/problem+json", "Content-Length", "2")
			io.WriteString(w, "{}")
		}, true},
		"early hints": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); io.WriteString(w, "x") }, true},
		"flushed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			io.WriteString(w, "data: 1\n\n")
			http.NewResponseController(w).Flush()
		}, true},
		"picture": {func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("\x89PNG\x0D\x0A\x1A\x0A")) }, false},
		"coded": {func(w http.ResponseWriter, r *http.Request) {
			head(w, 200, "Content-Encoding", "br", "Content-Type", "text/plain")
			io.WriteString(w, "x")
		}, false},
		"empty":      {func(w http.ResponseWriter, r *http.Request) {}, false},
		"no content": {func(w http.ResponseWriter, r *http.Request) { head(w, 204, "Content-Type", "text/plain") }, false},
		"the same": {func(w http.ResponseWriter, r *http.Request) {
			head(w, 304, "Content-Type", "text/plain", "ETag", `"1"`)
		}, false},
	}
	for name, tt := range answers {
		for _, accepted := range []string{"gzip", "br, GZIP;q=0.5", "*", "", "gzip;q=0, *", "br", "*;q=0"} {
			s := httptest.NewServer(tt.h)
			z := httptest.NewServer(Gzip(tt.h))
			want, got := get(t, s.URL, accepted), get(t, z.URL, accepted)
			zips := tt.zips && slices.Contains([]string{"gzip", "br, GZIP;q=0.5", "*"}, accepted)
			if got.body != want.body || got.status != want.status || got.zipped != zips || got.header.Get("Vary") != "Accept-Encoding" || got.header.Get("ETag") != want.header.Get("ETag") {
				t.Errorf("%s for %q: %d %v %.20q, zipped %v; want %d %.20q, %v", name, accepted, got.status, got.header, got.body, got.zipped, want.status, want.body, zips)
			}
			s.Close()
			z.Close()
		}
	}
	tagged := Gzip(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { head(w, 200, "ETag", `"1"`, "Content-Type", "text/css") }))
	if w := ask(tagged, "GET", "Accept-Encoding", "gzip"); w.Header().Get("ETag") != `W/"1"` {
		t.Errorf("%v", w.Header())
	}
	for _, h := range [][]string{{"HEAD"}, {"GET", "Range", "bytes=0-1"}, {"GET", "Upgrade", "websocket"}} {
		if w := ask(tagged, h[0], append(h[1:], "Accept-Encoding", "gzip")...); w.Header().Get("Content-Encoding") != "" {
			t.Errorf("%v: %v", h, w.Header())
		}
	}
}

// A part of an answer is not made to look whole.
func TestPanic(t *testing.T) {
	s := httptest.NewServer(Gzip(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", 10000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})))
	defer s.Close()
	r, err := http.Get(s.URL) // which asks for gzip, and decodes it
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("%d bytes, and no error", len(body))
	}
}

func head(w http.ResponseWriter, status int, header ...string) {
	for i := 0; i < len(header); i += 2 {
		w.Header().Set(header[i], header[i+1])
	}
	w.WriteHeader(status)
}

type answer struct {
	status int
	header http.Header
	body   string
	zipped bool
}

func get(t *testing.T, url, accepts string) (a answer) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", accepts)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	body := io.Reader(resp.Body)
	if a.zipped = resp.Header.Get("Content-Encoding") == "gzip"; a.zipped {
		if body, err = gzip.NewReader(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	all, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", url, err))
	}
	a.body = string(all)
	return a
}
