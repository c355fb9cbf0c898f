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
		if err := Std.Valid(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"", "a", "GET", "/{", "/{x}{y}", "/{x...}/b", "/a/{x}/{x}", "GET  a b"} {
		if err := Std.Valid(p); err == nil {
			t.Errorf("%q is taken for valid", p)
		}
	}
}

// muxConflict is what ServeMux itself says.
func muxConflict(a, b string) bool {
	mux := http.NewServeMux()
	return add(mux, a, http.NotFoundHandler()) == nil && add(mux, b, http.NotFoundHandler()) != nil
}

// disagree reports whether we take a conflict otherwise than ServeMux does. Of two
// patterns such as "//" and "/{x}/" it serves the later in the place of both: that
// we call a conflict.
func disagree(a, b string, got bool) bool {
	want := muxConflict(a, b)
	return got != want && (want || !strings.Contains(a+" "+b, "//"))
}

func conflict(a, b string) bool {
	_, _, ok := NewIndex(Std, []string{a}, func(p string) string { return p }).Conflicting(b)
	return ok
}

func overlap(a, b string) bool {
	return len(NewIndex(Std, []string{a}, func(p string) string { return p }).Overlapping([]string{b})) > 0
}

func TestConflictAndOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b               string
		conflict, mayMatch bool
	}{
		{"/a", "/a", true, true},
		{"/a", "/b", false, false},
		{"/a", "/a/", false, false},
		{"GET /a", "POST /a", false, true},
		{"GET /a", "/a", false, true},
		{"/{x}", "/{y}", true, true},
		{"/a/{x}", "/a/b", false, true},
		{"/a/{x}", "/{y}/b", true, true},
		{"/{x}/a", "/{x}/b", false, false},
		{"/{x}/a/", "/{x}/b/", false, false},
		{"/", "/a/b/c", false, true},
		{"one.example/a", "two.example/a", false, false},
		{"one.example/a", "/a", false, true},
		{"/%61/b", "/a/b", true, true},
		{"/%61/b", "/a/c", false, false},
		{"/{$}", "/", false, true},
		{"/a/{$}", "/a/{x}", false, false},
	} {
		for range 2 {
			if got := conflict(c.a, c.b); got != c.conflict || got != muxConflict(c.a, c.b) {
				t.Errorf("conflict of %q and %q: %v", c.a, c.b, got)
			}
			if got := overlap(c.a, c.b); got != c.mayMatch {
				t.Errorf("overlap of %q and %q: %v", c.a, c.b, got)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

// All patterns of a few pieces conflict where ServeMux says so.
func TestConflictsAreServeMuxs(t *testing.T) {
	var paths []string
	for _, a := range []string{"a", "%61", "{x}", "", "b"} {
		for _, b := range []string{"", "/", "/{$}", "/{y}", "/{y...}", "/a", "/a/", "/{y}/c", "/{y}/", "/%2F"} {
			paths = append(paths, "/"+a+b)
		}
	}
	var all []string
	for _, before := range []string{"", "GET ", "HEAD ", "POST ", "h.example", "GET h.example"} {
		for _, p := range paths {
			if Std.Valid(before+p) == nil {
				all = append(all, before+p)
			}
		}
	}
	for _, a := range all {
		index := NewIndex(Std, []string{a}, func(p string) string { return p })
		for _, b := range all {
			if _, _, got := index.Conflicting(b); disagree(a, b, got) {
				t.Errorf("conflict of %q and %q: %v, ServeMux says %v", a, b, got, !got)
			}
		}
	}
	t.Logf("%d patterns", len(all))
}

func TestIndexAnswersInOrder(t *testing.T) {
	all := []string{"/", "/a", "/a/{x}", "/b", "GET /b/c", "h.example/a", "h.example/{x}", "/{x}/y", "POST /c"}
	index := NewIndex(Std, all, func(p string) string { return p })
	for _, own := range [][]string{{"/a"}, {"/b", "/c"}, {"/{z}"}, {"other.example/a"}, {"/none"}, nil} {
		var want []string
		for _, p := range all {
			if slices.ContainsFunc(own, func(o string) bool { return overlap(o, p) }) {
				want = append(want, p)
			}
		}
		if got := index.Overlapping(own); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
	}
	item, p, ok := index.Conflicting("/none", "/{z}/y", "/a", "POST /c")
	if item != "/a" || p != "/a" || !ok {
		t.Errorf("the first conflict is of %q and %q, %v", item, p, ok)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		says     string
	}{
		{[]string{"/a", "/b"}, ""},
		{[]string{"/a", "/b", "/c"}, "has 3 patterns, a handler may have 2"},
		{[]string{"/" + strings.Repeat("a", 100)}, "has a pattern of 101 bytes, it may have 100: /aaaa"},
		{[]string{"/caf\xe9"}, `pattern "/caf\xe9" is not UTF-8`},
		{[]string{"/café"}, ""},
		{[]string{"/{"}, "bad wildcard"},
	} {
		refused := Std.Check(c.patterns, 2, 100)
		if c.says == "" && refused != nil || c.says != "" && (refused == nil || !strings.Contains(refused.Reason, c.says) || refused.Mend == "") {
			t.Errorf("%.20q: %v, want %q", c.patterns, refused, c.says)
		}
	}
	if refused := Std.Check([]string{"/a", "/" + strings.Repeat("a", 100)}, 0, 0); refused != nil {
		t.Errorf("without bounds: %v", refused)
	}
}

func TestBeside(t *testing.T) {
	got := Std.Beside([]string{"/a", "/b/{x}"}, []string{"/a", "/c", "/b/{y}", "/b/c", "/c"})
	if want := []string{"/c", "/b/c"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// Whatever two patterns, a request that both match means that they overlap, and
// they conflict where ServeMux says so.
func FuzzOverlap(f *testing.F) {
	f.Add("/a/{x}", "/a/b", "/a/b")
	f.Add("h.example/{x...}", "/q", "/q")
	f.Add("/%61", "/a", "/a")
	f.Fuzz(func(t *testing.T, a, b, path string) {
		if Std.Valid(a) != nil || Std.Valid(b) != nil || !strings.HasPrefix(path, "/") {
			return
		}
		if got := conflict(a, b); disagree(a, b, got) {
			t.Fatalf("conflict of %q and %q: %v, ServeMux says %v", a, b, got, !got)
		}
		matches := func(p string) bool {
			mux, err := Std.Mux(map[string]http.Handler{p: http.NotFoundHandler()})
			if err != nil {
				return false
			}
			host := parse(p).host
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
		if parse(a).host != parse(b).host {
			return // no request here has both hosts
		}
		if matches(a) && matches(b) && !overlap(a, b) {
			t.Fatalf("%q and %q both match %q", a, b, path)
		}
	})
}

func TestMuxNamesTheBadPattern(t *testing.T) {
	_, err := Std.Mux(map[string]http.Handler{"/{": http.NotFoundHandler()})
	if err == nil || !strings.Contains(err.Error(), `"/{"`) {
		t.Fatalf("err = %v", err)
	}
}

// Whatever the order of the map, and wherever the source lies.
func TestMuxSaysTheSameEachTime(t *testing.T) {
	const want = `pattern "/x/{b}": pattern "/x/{b}" conflicts with pattern "/x/{a}":` + "\n" + `/x/{b} matches the same requests as /x/{a}`
	for range 20 {
		_, err := Std.Mux(map[string]http.Handler{"/x/{a}": http.NotFoundHandler(), "/x/{b}": http.NotFoundHandler(), "/": http.NotFoundHandler()})
		if err == nil || err.Error() != want {
			t.Fatalf("got  %v\nwant %s", err, want)
		}
	}
}

// What a handler offers is judged once, for the daemon and for check.
func TestOffered(t *testing.T) {
	given := []string{"/b", "/a", "/b"}
	got, refused := Std.Offered("h", given, 3, 10)
	if refused != nil || !slices.Equal(got, []string{"/a", "/b"}) || given[0] != "/b" {
		t.Errorf("%q, %v; given %q", got, refused, given)
	}
	for name, bad := range map[string][]string{"none": nil, "too many": {"/a", "/b", "/c", "/d"}, "too long": {"/0123456789"}, "malformed": {"{"}} {
		if got, refused := Std.Offered("h", bad, 3, 10); refused == nil || got != nil {
			t.Errorf("%s: %q, %v", name, got, refused)
		}
	}
}

// A dialect that there is not is none; what there are is told.
func TestSet(t *testing.T) {
	for _, name := range []string{"std", "chi", "gorilla", "httprouter"} {
		if d := Dialect(""); d.Set(name) != nil || d.String() != name || !strings.Contains(Dialects, name) {
			t.Errorf("%s: %q", name, d)
		}
	}
	for _, name := range []string{"", "gin"} {
		if d := Chi; d.Set(name) == nil || d != Chi {
			t.Errorf("%q is taken: %q", name, d)
		}
	}
}

// What is wrong in a pattern is told with the syntax of its router.
func TestDialects(t *testing.T) {
	for d, c := range map[Dialect][2]string{
		"": {"/{x", "net/http.ServeMux"}, Std: {"/{x", "net/http.ServeMux"},
		Chi: {"/a/*/b", "syntax of chi"}, Gorilla: {"/{a:(b)}", "syntax of gorilla/mux"}, HTTPRouter: {"/{x}", "syntax of httprouter"},
	} {
		refused := d.Check([]string{c[0]}, 1, 0)
		if refused == nil || !strings.Contains(refused.Mend, c[1]) {
			t.Errorf("%s: %q: %v", d, c[0], refused)
		}
		if got := d.Beside([]string{"/a"}, []string{"/a", "/b"}); !slices.Equal(got, []string{"/b"}) {
			t.Errorf("%s: %q beside /a", d, got)
		}
	}
}
