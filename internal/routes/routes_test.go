package routes

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestValid(t *testing.T) {
	for _, p := range []string{"/", "/a", "GET /a/{id}", "example.com/a/", "POST example.com/{x}/b/{rest...}", "/{$}", "/a/{$}"} {
		if err := Valid(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "a", "GET", "/{", "/{x}{y}", "/{x...}/b", "/a/{x}/{x}", "GET  a b"} {
		if err := Valid(p); err == nil {
			t.Errorf("%q is taken for valid", p)
		}
	}
}

func TestConflictAndOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b               string
		conflict, mayMatch bool
	}{
		{"/a", "/a", true, true},
		{"/a", "/b", false, false},
		{"/a", "/a/", false, true},
		{"GET /a", "POST /a", false, true},
		{"GET /a", "/a", false, true},
		{"/{x}", "/{y}", true, true},
		{"/a/{x}", "/a/b", false, true},
		{"/a/{x}", "/{y}/b", true, true},
		{"/", "/a/b/c", false, true},
		{"one.example/a", "two.example/a", false, false},
		{"one.example/a", "/a", false, true},
		{"/%61/b", "/a/c", false, true},
		{"/{$}", "/", false, true},
	} {
		for range 2 {
			if got := Conflict(c.a, c.b); got != c.conflict {
				t.Errorf("Conflict(%q, %q) = %v", c.a, c.b, got)
			}
			if got := MayOverlap(c.a, c.b); got != c.mayMatch {
				t.Errorf("MayOverlap(%q, %q) = %v", c.a, c.b, got)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

func TestIndexFindsWhatMayOverlap(t *testing.T) {
	all := []string{"/", "/a", "/a/{x}", "/b", "GET /b/c", "h.example/a", "h.example/{x}", "/{x}/y", "POST /c"}
	index := NewIndex(all, func(p string) string { return p })
	for _, own := range [][]string{{"/a"}, {"/b", "/c"}, {"/{z}"}, {"other.example/a"}, {"/none"}, nil} {
		var want []string
		for _, p := range all {
			if slices.ContainsFunc(own, func(o string) bool { return MayOverlap(o, p) }) {
				want = append(want, p)
			}
		}
		if got := index.Overlapping(own); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
	}
}

func TestBeside(t *testing.T) {
	got := Beside([]string{"/a", "/b/{x}"}, []string{"/a", "/c", "/b/{y}", "/b/c", "/c", "{"})
	if want := []string{"/c", "/b/c"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// Whatever two patterns, a request that both match means that they may overlap.
func FuzzMayOverlap(f *testing.F) {
	f.Add("/a/{x}", "/a/b", "/a/b")
	f.Add("h.example/{x...}", "/q", "/q")
	f.Add("/%61", "/a", "/a")
	f.Fuzz(func(t *testing.T, a, b, path string) {
		if Valid(a) != nil || Valid(b) != nil || !strings.HasPrefix(path, "/") {
			return
		}
		matches := func(p string) bool {
			mux, err := Mux(map[string]http.Handler{p: http.NotFoundHandler()})
			if err != nil {
				return false
			}
			host, _ := parse(p)
			method, _, ok := strings.Cut(p, " ")
			if !ok || !strings.HasPrefix(method, strings.ToUpper(method)) {
				method = "GET"
			}
			defer func() { recover() }() // httptest panics on a malformed URL
			r := httptest.NewRequest("GET", path, nil)
			r.Method, r.Host = method, host
			_, got := mux.Handler(r)
			return got != ""
		}
		ha, _ := parse(a)
		hb, _ := parse(b)
		if ha != hb {
			return // no request here has both hosts
		}
		if matches(a) && matches(b) && !MayOverlap(a, b) {
			t.Fatalf("%q and %q both match %q", a, b, path)
		}
	})
}

func TestMuxNamesTheBadPattern(t *testing.T) {
	_, err := Mux(map[string]http.Handler{"/{": http.NotFoundHandler()})
	if err == nil || !strings.Contains(err.Error(), `"/{"`) {
		t.Fatalf("err = %v", err)
	}
}

// Whatever the order of the map, and wherever the source lies.
func TestMuxSaysTheSameEachTime(t *testing.T) {
	const want = `pattern "/x/{b}": pattern "/x/{b}" conflicts with pattern "/x/{a}":` + "\n" + `/x/{b} matches the same requests as /x/{a}`
	for range 20 {
		_, err := Mux(map[string]http.Handler{"/x/{a}": http.NotFoundHandler(), "/x/{b}": http.NotFoundHandler(), "/": http.NotFoundHandler()})
		if err == nil || err.Error() != want {
			t.Fatalf("got  %v\nwant %s", err, want)
		}
	}
}
