package cell

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// Every request is counted once, however its handler ends.
func TestCounted(t *testing.T) {
	c, _ := newCell(t)
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		code string
	}{
		"says nothing": {func(http.ResponseWriter, *http.Request) {}, "2xx"},
		"aborts":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "none"},
	} {
		l := &loaded{name: "mine", counts: new(counter.Handler)}
		func() {
			defer func() { recover() }()
			(&own{c, l, tt.h}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("DELETE", "/", nil))
		}()
		got := l.counts.Read()
		for m := range got.Requests {
			for s, buckets := range got.Requests[m] {
				if n := buckets[0]; (n == 1) != (counter.Methods[m] == "DELETE" && counter.Codes[s] == tt.code) {
					t.Errorf("%s: %d of %s %s", name, n, counter.Methods[m], counter.Codes[s])
				}
			}
		}
		if got.Under() != 0 || got.Begun != 1 {
			t.Errorf("%s: %d begun, %d under way", name, got.Begun, got.Under())
		}
	}
}
