package routers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

var all3 = map[string]Router{"chi": Chi, "gorilla": Gorilla, "httprouter": HTTPRouter}

// What is no pattern is refused by what is wrong in it. That the routers take what is valid,
// and match as these do, package oracle tests.
func TestValid(t *testing.T) {
	for _, c := range []struct{ router, pattern, says string }{
		{"chi", "/users/{id}", ""},
		{"chi", "GET /users/{id:[0-9]{2,3}}.json", ""},
		{"chi", "/files/*", ""},
		{"chi", "/files/{rest...}", "net/http's syntax"},
		{"chi", "/a/{$}", "net/http's syntax"},
		{"chi", "/a/*/b", "must be the last"},
		{"chi", "/{a}{b}", "right behind another"},
		{"chi", "/{a}*", "right behind a parameter"},
		{"chi", "/{a", "{ without }"},
		{"chi", "/a}", "} without {"},
		{"chi", "/{}", "needs a name"},
		{"chi", "/{a:}", "is empty"},
		{"chi", "/{a:(}", "missing closing )"},
		{"chi", "/{a}/{a}", `duplicate parameter "a"`},
		{"chi", "h.example/a", "without hosts"},
		{"chi", "BREW /a", "not one of chi's"},
		{"chi", "get /a", `invalid method "get"`},
		{"chi", "a", "missing /"},
		{"chi", "", "missing /"},
		{"chi", "/a\n", "control character"},
		{"gorilla", "GET h.example:8080/{a}/{rest:.*}", ""},
		{"gorilla", "/{a:x|y}", ""},
		{"gorilla", "{sub}.example/a", "paths alone"},
		{"gorilla", "/{a:(x)}", "(?:x)"},
		{"gorilla", "/{a:[}", "missing closing ]"},
		{"gorilla", "/{a:x)(y}", "unexpected )"},
		{"httprouter", "GET /users/:id/files/*path", ""},
		{"httprouter", "/x:id", ""},
		{"httprouter", "/users/{id}", "write :name"},
		{"httprouter", "/users/:", "needs a name"},
		{"httprouter", "/:a:b", "one parameter in a segment"},
		{"httprouter", "/*a/b", "must be the last"},
		{"httprouter", "/a*b", "a / before it"},
		{"httprouter", "h.example/", "without hosts"},
	} {
		err := all3[c.router].Valid(c.pattern)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.pattern))) {
			t.Errorf("%s: %q: %v, want %q", c.router, c.pattern, err, c.says)
		}
	}
}

// Patterns that are not served beside each other are refused by name, whatever comes first.
func TestConflicts(t *testing.T) {
	for _, c := range []struct {
		router, a, b string
		want         bool
	}{
		{"chi", "/{a}", "/{b}", true},
		{"chi", "/{a}", "/me", false},
		{"chi", "GET /{a}", "/{b}", false},
		{"chi", "GET /{a}", "POST /{a}", false},
		{"chi", "/{a:x+}", "/{b:x+}", true},
		{"chi", "/{a:x+}", "/{b:y+}", false},
		{"gorilla", "/{a}", "/{b}", true},
		{"gorilla", "h.example/{a}", "/{b}", false},
		{"gorilla", "GET h.example/{a}", "GET h.example/{b}", true},
		{"httprouter", "/:a", "/me", true},
		{"httprouter", "GET /:a", "POST /me", false},
		{"httprouter", "GET /:a", "/me", true},
		{"httprouter", "/:a/x", "/:b/y", true},
		{"httprouter", "/:a/x", "/:a/y", false},
		{"httprouter", "/a/", "/a/*rest", true},
		{"httprouter", "/a", "/a/*rest", false},
	} {
		other := "/elsewhere"
		if c.router == "httprouter" {
			other = "PURGE /elsewhere"
		}
		for range 2 {
			x := all3[c.router].Places()
			x.Add(other)
			x.Add(c.a)
			at, of, got := x.Conflicting([]string{other + "/more", c.b})
			if got != c.want || got && (at != 1 || of != 1) {
				t.Errorf("%s: %q and %q: %v", c.router, c.a, c.b, got)
			}
			if got && !slices.Contains(x.Overlapping([]string{c.b}), 1) {
				t.Errorf("%s: %q is not found, which conflicts with %q", c.router, c.a, c.b)
			}
			_, err := all3[c.router].Mux(map[string]http.Handler{c.a: http.NotFoundHandler(), c.b: http.NotFoundHandler()}, nil)
			if (err != nil) != c.want || err != nil && (!strings.Contains(err.Error(), c.a) || !strings.Contains(err.Error(), c.b)) {
				t.Errorf("%s: %q and %q: %v", c.router, c.a, c.b, err)
			}
			c.a, c.b = c.b, c.a
		}
	}
}

// A handler sees its pattern and its parameters as net/http's shows them.
func TestPathValues(t *testing.T) {
	for router, pattern := range map[string]string{"chi": "GET /f/{id:[0-9]+}/*", "gorilla": "GET /f/{id:[0-9]+}/{*:.*}", "httprouter": "GET /f/:id/*rest"} {
		var seen string
		m, err := all3[router].Mux(map[string]http.Handler{pattern: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			seen = fmt.Sprint(r.Pattern, " ", r.PathValue("id"), " ", r.PathValue("*"), r.PathValue("rest"))
		})}, http.NotFoundHandler())
		if router == "gorilla" {
			if err == nil {
				t.Error("gorilla has a name that is none")
			}
			pattern = "GET /f/{id:[0-9]+}/{rest:.*}"
			m, err = all3[router].Mux(map[string]http.Handler{pattern: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen = fmt.Sprint(r.Pattern, " ", r.PathValue("id"), " ", r.PathValue("rest"))
			})}, http.NotFoundHandler())
		}
		if err != nil {
			t.Fatal(err)
		}
		m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/f/7/a/b", nil))
		want := pattern + " 7 a/b"
		if router == "httprouter" {
			want = pattern + " 7 /a/b" // with its slash, as httprouter has it
		}
		if seen != want {
			t.Errorf("%s: %q, want %q", router, seen, want)
		}
	}
}

// What no pattern matches is the others', where they have it.
func TestRest(t *testing.T) {
	for router, m := range all3 {
		mux, err := m.Mux(map[string]http.Handler{"GET /a": http.NotFoundHandler()}, rest1{})
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range []string{"GET /b", "POST /a", "GET /a/", "GET //a", "BREW /a", "OPTIONS /a", "CONNECT /"} {
			method, path, _ := strings.Cut(request, " ")
			h, pattern := mux.Handler(httptest.NewRequest(method, path, nil))
			if h != (rest1{}) || pattern != "" {
				t.Errorf("%s: %s is answered by %v, %q", router, request, h, pattern)
			}
		}
	}
}

type rest1 struct{}

func (rest1) ServeHTTP(http.ResponseWriter, *http.Request) {}

// The more specific is tried first.
func TestOrder(t *testing.T) {
	got := Gorilla.(dialect).Order([]string{"/{rest:.*}", "/{a}", "/{a}.json", "/{a:[0-9]+}", "/me", "GET /me", "h.example/{rest:.*}"})
	want := []string{"h.example/{rest:.*}", "GET /me", "/me", "/{a:[0-9]+}", "/{a}.json", "/{a}", "/{rest:.*}"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkMux(b *testing.B) {
	for router, pattern := range map[string]string{"chi": "/f%d/{id}", "gorilla": "/f%d/{id}", "httprouter": "/f%d/:id"} {
		b.Run(router, func(b *testing.B) {
			handlers := make(map[string]http.Handler)
			for i := range 1000 {
				handlers[fmt.Sprintf(pattern, i)] = http.NotFoundHandler()
			}
			m, err := all3[router].Mux(handlers, nil)
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/f500/7", nil)
			b.ReportAllocs()
			for range b.N {
				if _, pattern := m.Handler(r); pattern == "" {
					b.Fatal("not found")
				}
			}
		})
	}
}

// With chi an empty segment is no value of a regular expression, even where that matches
// nothing: chi itself takes it or not, by what else is in the table (docs/routers.md).
func TestChiEmptyValue(t *testing.T) {
	m, err := Chi.Mux(map[string]http.Handler{"/{a:[a-z]*}/x": http.NotFoundHandler(), "/{b}/y": http.NotFoundHandler()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"//x": "", "/a/x": "/{a:[a-z]*}/x", "//y": "/{b}/y"} {
		if _, got := m.Handler(&http.Request{Method: "GET", URL: &url.URL{Path: path}}); got != want {
			t.Errorf("%s is %q's, want %q's", path, got, want)
		}
	}
}
