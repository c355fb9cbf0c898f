package gate

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/link"
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
		g := newGate(t, 1)
		g.applyAll([]link.Route{{Pattern: "/", Cell: 1}}) // a handler that would have it
		g.asked.configure([]link.Challenge{own})
		g.asked.configure(tt.open)
		r := httptest.NewRequest(tt.method, tt.target, nil)
		if _, ok := g.routeNow(r); ok != (tt.answer == "") {
			t.Errorf("%s %s: the handler has it at once: %v", tt.method, tt.target, ok)
		}
		if tt.answer == "" {
			continue
		}
		g.https.Store(443)
		w := httptest.NewRecorder()
		g.route(r).Handler.ServeHTTP(w, r)
		if got, _ := io.ReadAll(w.Body); w.Code != 200 || string(got) != tt.answer {
			t.Errorf("%s %s: %d %q, want %q", tt.method, tt.target, w.Code, got, tt.answer)
		}
	}
}
