package oracle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/routers"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
)

// real is a router itself, and pieces of which patterns and requests for it are made.
type real struct {
	name string
	ours routers.Router
	// register registers a pattern; it panics where the router refuses it.
	register func(patterns []string) http.Handler
	// values returns the parameters that the router has found.
	values func(r *http.Request) map[string]string

	first, second []string // of patterns' paths
	before        []string // methods, and hosts, of patterns
	paths         []string
}

// names are those of all parameters.
var names = []string{"a", "b", "c", "*"}

func cutMethod(pattern string) (method, path string) {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		return pattern[:i], strings.TrimLeft(pattern[i:], " \t")
	}
	return "", pattern
}

// found answers with a pattern and its values.
func (re *real) found(pattern string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q", pattern, only(re.values(r)))
	})
}

func only(values map[string]string) (list []string) {
	for _, name := range names {
		if v := values[name]; v != "" {
			list = append(list, name+"="+v)
		}
	}
	return list
}

func (re *real) order(patterns []string) []string {
	if len(patterns) == 1 {
		return patterns // which may be none of ours
	}
	return re.ours.(interface{ Order([]string) []string }).Order(patterns)
}

// chi registers what has a method once more: chi has it replace what has none.
func (re *real) chi(patterns []string) http.Handler {
	m := chi.NewRouter()
	sorted := re.order(patterns)
	for _, all := range []bool{true, false} {
		for _, p := range sorted {
			if method, _ := cutMethod(p); all || method != "" {
				m.Handle(p, re.found(p))
			}
		}
	}
	return m
}

func (re *real) gorilla(patterns []string) http.Handler {
	m := mux.NewRouter()
	for _, p := range re.order(patterns) {
		method, rest := cutMethod(p)
		host, path, _ := strings.Cut(rest, "/")
		r := m.Handle("/"+path, re.found(p))
		if host != "" {
			r = r.Host(host)
		}
		if method != "" {
			r = r.Methods(method)
		}
		if err := r.GetError(); err != nil {
			panic(err)
		}
	}
	return m
}

// anyMethod is what a pattern without a method is registered for.
var anyMethod = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

// httprouter registers what has a catch-all first, the shorter before the longer: what it
// redirects depends on that.
func (re *real) httprouter(patterns []string) http.Handler {
	m := httprouter.New()
	sorted := slices.Clone(patterns)
	slices.SortFunc(sorted, func(a, b string) int {
		_, a = cutMethod(a)
		_, b = cutMethod(b)
		x, y := strings.Contains(a, "*"), strings.Contains(b, "*")
		switch {
		case x != y && x:
			return -1
		case x != y:
			return 1
		}
		return len(a) - len(b)
	})
	for _, p := range sorted {
		method, path := cutMethod(p)
		methods := []string{method}
		if method == "" {
			methods = anyMethod
		}
		for _, method := range methods {
			m.Handler(method, path, re.found(p))
		}
	}
	return m
}

func all() []*real {
	c := &real{
		name: "chi", ours: routers.Chi,
		before: []string{"", "GET ", "POST ", "OPTIONS "},
		first:  []string{"x", "xy", "{a}", "{b}", "{a:[0-9]+}", "{b:[0-9]+}", "{a:[a-z]*}", "x{a}", "{a}.json", "{a:[0-9]*}.json", "*", "x*", "{a}-{b}", ""},
		second: []string{"", "/", "/z", "/{c}", "/{c:[0-9]+}", "/{c:z.*}", "/*", "/z{c}", "/{c}/z"},
	}
	c.register = c.chi
	c.values = func(r *http.Request) map[string]string {
		values := make(map[string]string)
		params := chi.RouteContext(r.Context()).URLParams
		for i, k := range params.Keys {
			values[k] = params.Values[i]
		}
		return values
	}
	g := &real{
		name: "gorilla", ours: routers.Gorilla,
		before: []string{"", "GET ", "POST ", "h.example", "GET h.example", "POST o.example:81"},
		first:  []string{"x", "xy", "{a}", "{b}", "{a:[0-9]+}", "{a:[a-z0-9]+}", "x{a}", "{a}.json", "{a:.*}", "{b:.*}", "{a:x|y}", "{a}-{b}", ""},
		second: []string{"", "/", "/z", "/{c}", "/{c:[0-9]+}", "/{c:.*}", "/{c:.*}/z", "/z{c}", "/{c}/z"},
	}
	g.register, g.values = g.gorilla, mux.Vars
	h := &real{
		name: "httprouter", ours: routers.HTTPRouter,
		before: []string{"", "GET ", "POST ", "OPTIONS "},
		first:  []string{"x", "xy", "X", "é", ":a", ":b", "x:a", "*a", "yz", ""},
		second: []string{"", "/", "/z", "/zz", "/:c", "/*c", "/z:c", "/:c/z", "/:c/", "/É"},
	}
	h.register = h.httprouter
	h.values = func(r *http.Request) map[string]string {
		values := make(map[string]string)
		for _, p := range httprouter.ParamsFromContext(r.Context()) {
			values[p.Key] = p.Value
		}
		return values
	}
	for _, re := range []*real{c, g, h} {
		for _, a := range []string{"", "x", "X", "xy", "xYz", "y", "7", "7.json", "x.json", "x-y", "x-y-z", "é", "É", "x%2Fy", ".."} {
			for _, b := range []string{"", "/", "/z", "/Z", "/zz", "/7", "//", "/z/", "/q/z", "/q/z/", "/q/", "/É", "/é", "/.", "/z/y/x"} {
				re.paths = append(re.paths, "/"+a+b)
			}
		}
	}
	return []*real{c, g, h}
}

// patterns are those of the pieces that are ours to take.
func (re *real) patterns() (valid, refused []string) {
	for _, before := range re.before {
		for _, a := range re.first {
			for _, b := range re.second {
				p := before + "/" + a + b
				if re.ours.Valid(p) == nil {
					valid = append(valid, p)
				} else {
					refused = append(refused, p)
				}
			}
		}
	}
	return valid, refused
}

// tryRegister returns the router with the patterns, or what it says against them.
func (re *real) tryRegister(patterns []string) (h http.Handler, refused any) {
	defer func() { refused = recover() }()
	return re.register(patterns), nil
}

// ourMux is the same of ours.
func (re *real) ourMux(patterns []string) (http.Handler, error) {
	handlers := make(map[string]http.Handler)
	for _, p := range patterns {
		handlers[p] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			values := make(map[string]string)
			for _, name := range names {
				values[name] = r.PathValue(name)
			}
			fmt.Fprintf(w, "%s %q", r.Pattern, only(values))
		})
	}
	return re.ours.Mux(handlers, nil)
}

// said is an answer, but for the order in which methods are allowed.
func said(h http.Handler, method, host, path string) string {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return "no path"
	}
	r := &http.Request{Method: method, Host: host, URL: u, RequestURI: path, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	allow := slices.Sorted(slices.Values(w.Header()["Allow"]))
	return fmt.Sprintf("%d allow %q to %q: %s", w.Code, allow, w.Header().Get("Location"), strings.TrimSpace(w.Body.String()))
}

// same holds our answers to the router's.
func (re *real) same(t *testing.T, patterns, paths, methods []string) {
	t.Helper()
	theirs, refused := re.tryRegister(patterns)
	if refused != nil {
		t.Errorf("%s refuses %q: %v", re.name, patterns, refused)
		return
	}
	ours, err := re.ourMux(patterns)
	if err != nil {
		t.Errorf("%s: %q: %v", re.name, patterns, err)
		return
	}
	hosts := []string{"h.example"}
	if re.name == "gorilla" {
		hosts = append(hosts, "h.example:80", "o.example:81", "o.example")
	}
	for _, host := range hosts {
		for _, path := range paths {
			for _, method := range methods {
				want, got := said(theirs, method, host, path), said(ours, method, host, path)
				if want != got && !intended(re, patterns, path) {
					t.Errorf("%s of %q: %s %s%s:\n got %s\nwant %s", re.name, patterns, method, host, path, got, want)
				}
			}
		}
	}
}

// intended reports whether the router may say what ours does not: chi takes nothing, now
// and then, for a parameter that has a regular expression.
func intended(re *real, patterns []string, path string) (yes bool) {
	if re.name != "chi" {
		return false
	}
	for _, p := range patterns {
		m := chi.NewRouter()
		_, p = cutMethod(p)
		m.Handle(p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, value := range re.values(r) {
				yes = yes || value == "" && strings.Contains(p, "{"+name+":")
			}
		}))
		said(m, "GET", "h.example", path)
	}
	return yes
}

var methods = []string{"GET", "HEAD", "POST", "OPTIONS", "CONNECT", "BREW"}

// What a router refuses is not valid; one pattern alone matches the same requests.
func TestRoutersOnePattern(t *testing.T) {
	for _, re := range all() {
		valid, refused := re.patterns()
		for i, p := range valid {
			var paths []string
			for j := i % 9; j < len(re.paths); j += 9 {
				paths = append(paths, re.paths[j])
			}
			re.same(t, []string{p}, paths, methods)
		}
		var strict []string
		for _, p := range refused {
			if _, why := re.tryRegister([]string{p}); why == nil {
				strict = append(strict, p)
			}
		}
		t.Logf("%s: %d patterns, %d refused, of which it takes %d: %q", re.name, len(valid), len(refused), len(strict), strict)
		if t.Failed() {
			return
		}
	}
}

// Two patterns conflict where httprouter refuses them, whatever their order, and where one would
// take the other's place.
func TestRoutersConflict(t *testing.T) {
	for _, re := range all() {
		valid, _ := re.patterns()
		conflicts, stride := 0, 1
		if testing.Short() {
			stride = 7
		}
		for i := 0; i < len(valid); i += stride {
			a := valid[i]
			x := re.ours.Places()
			x.Add(a)
			for _, b := range valid {
				_, _, got := x.Conflicting([]string{b})
				if got {
					conflicts++
				}
				want := a == b
				if re.name == "httprouter" {
					_, why := re.tryRegister([]string{a, b})
					want = why != nil
				} else if got && !want {
					// Neither's requests are the other's alone: with both, one is never asked.
					want = only1(t, re, a, b)
				}
				if got != want {
					t.Errorf("%s: conflict of %q and %q: %v, want %v", re.name, a, b, got, want)
				}
			}
			if t.Failed() {
				return
			}
		}
		t.Logf("%s: %d of %d pairs conflict", re.name, conflicts, len(valid)*len(valid))
	}
}

// only1 reports whether the patterns match the same requests.
func only1(t *testing.T, re *real, a, b string) bool {
	x, _ := re.ourMux([]string{a})
	y, _ := re.ourMux([]string{b})
	for i := 0; i < len(re.paths); i += 7 {
		for _, method := range []string{"GET", "POST"} {
			path := re.paths[i]
			if ok := func(h http.Handler) bool {
				return strings.HasPrefix(said(h, method, "h.example", path), "200 allow [] to \"\": ")
			}; ok(x) != ok(y) {
				return false
			}
		}
	}
	return true
}

// Tables of several patterns, drawn from a seed, answer as the router does.
func TestRoutersTables(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	for _, re := range all() {
		valid, _ := re.patterns()
		for seed := range uint64(n) {
			r := rand.New(rand.NewPCG(seed, 1))
			var patterns, paths []string
			for range 1 + r.IntN(8) {
				patterns = append(patterns, valid[r.IntN(len(valid))])
			}
			for range 20 {
				paths = append(paths, re.paths[r.IntN(len(re.paths))])
			}
			re.same(t, routes.Dialect(re.name).Beside(nil, patterns), paths, methods)
			if t.Failed() {
				t.Fatalf("%s, seed %d", re.name, seed)
			}
		}
	}
}

// A request that one of a handler's patterns has in the table of all is found in the part
// of the table that can overlap with them: it is the same pattern's. No other is the handler's.
func TestRoutersParts(t *testing.T) {
	for _, re := range all() {
		valid, _ := re.patterns()
		for seed := range uint64(1000) {
			r := rand.New(rand.NewPCG(seed, 2))
			var patterns []string
			for range 2 + r.IntN(10) {
				patterns = append(patterns, valid[r.IntN(len(valid))])
			}
			patterns = routes.Dialect(re.name).Beside(nil, patterns)
			own := patterns[:1+r.IntN(len(patterns))]
			x := re.ours.Places()
			for _, p := range patterns {
				x.Add(p)
			}
			part := make(map[string]http.Handler)
			for _, at := range x.Overlapping(own) {
				part[patterns[at]] = http.NotFoundHandler()
			}
			whole := make(map[string]http.Handler)
			for _, p := range patterns {
				whole[p] = http.NotFoundHandler()
			}
			for p := range maps.Keys(whole) {
				if slices.Contains(own, p) && part[p] == nil {
					t.Fatalf("%s: %q does not overlap with itself", re.name, p)
				}
			}
			a, err := re.ours.Mux(whole, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := re.ours.Mux(part, http.NotFoundHandler())
			if err != nil {
				t.Fatal(err)
			}
			for range 30 {
				u, err := url.ParseRequestURI(re.paths[r.IntN(len(re.paths))])
				if err != nil {
					continue
				}
				req := &http.Request{Method: methods[r.IntN(len(methods))], Host: "h.example", URL: u}
				_, want := a.Handler(req)
				_, got := b.Handler(req)
				if !slices.Contains(own, want) {
					want = ""
				}
				if !slices.Contains(own, got) {
					got = ""
				}
				if want != got {
					t.Fatalf("%s: %s %s is %q's of %q, and %q's of what overlaps with %q", re.name, req.Method, u, want, patterns, got, own)
				}
			}
		}
	}
}

// Whatever three patterns are, and the request.
func FuzzRouters(f *testing.F) {
	for i, re := range all() {
		valid, _ := re.patterns()
		for j := range 20 {
			f.Add(uint8(i), valid[j*7], valid[j*11], valid[j*17], methods[j%4], "h.example", re.paths[j*9])
		}
	}
	three := all()
	f.Fuzz(func(t *testing.T, router uint8, a, b, c, method, host, path string) {
		re := three[int(router)%len(three)]
		patterns := []string{a, b, c}
		for _, p := range patterns {
			if !utf8.ValidString(p) || strings.Count(p, "*") > 9 {
				return // routes.Check
			}
		}
		patterns = slices.DeleteFunc(patterns, func(p string) bool { return re.ours.Valid(p) != nil })
		if patterns = routes.Dialect(re.name).Beside(nil, patterns); len(patterns) == 0 || path == "" || path[0] != '/' && method != "CONNECT" {
			return
		}
		re.same(t, patterns, []string{path}, []string{method})
	})
}
