package gate

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// A question of an authority is answered before the table, and before clients are sent on
// to HTTPS; all others, and all once it is over, go where they went.
func TestChallenges(t *testing.T) {
	own := link.Challenge{Domain: "a.example", Token: "tok", Answer: "tok.print"}
	for _, tt := range []struct {
		method, target string
		open           []link.Challenge
		answer         string // "" where it is another's
	}{
		{"GET", challenges + "tok", []link.Challenge{own}, "tok.print"},
		{"GET", challenges + "tok", []link.Challenge{{Domain: "b.example", Token: "other"}, own}, "tok.print"},
		{"GET", challenges + "other", []link.Challenge{own}, ""},
		{"GET", challenges, []link.Challenge{{Domain: "c.example", Pair: &link.Pair{}}}, ""},
		{"GET", "/tok", []link.Challenge{own}, ""},
		{"POST", challenges + "tok", []link.Challenge{own}, ""},
		{"GET", challenges + "tok", nil, ""},
	} {
		g := &Gate{counts: counter.MapGate(nil), server: &handover.Server{}}
		g.table.Store(&table{http.NewServeMux(), make(chan struct{})})
		g.https.Store(443)
		g.asked.configure([]link.Challenge{own})
		g.asked.configure(tt.open)
		r := httptest.NewRequest(tt.method, tt.target, nil)
		if dest, ok := g.routeNow(r); ok {
			t.Errorf("%s %s: %v has it at once", tt.method, tt.target, dest)
		}
		if h := g.asked.handler(r); (h != nil) != (tt.answer != "") {
			t.Errorf("%s %s: is answered: %v", tt.method, tt.target, h != nil)
		}
		if tt.answer == "" {
			continue
		}
		w := httptest.NewRecorder()
		g.route(r).Handler.ServeHTTP(w, r)
		if got, _ := io.ReadAll(w.Body); w.Code != 200 || string(got) != tt.answer {
			t.Errorf("%s %s: %d %q, want %q", tt.method, tt.target, w.Code, got, tt.answer)
		}
	}
}
