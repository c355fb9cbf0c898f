package gate

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// challenges is where certificate authorities ask, in the clear, whether a name is ours
// (HTTP-01, RFC 8555).
const challenges = "/.well-known/acme-challenge/"

// asked are the questions that are open, and their answers by token; nil while there is
// none. A token is a secret of the authority's and ours: who knows it is answered whatever
// name it asks. One that is not known here is a handler's.
type asked struct {
	answers atomic.Pointer[map[string]string]
}

func (a *asked) configure(all []link.Challenge) {
	answers := make(map[string]string)
	for _, c := range all {
		if c.Token != "" {
			answers[c.Token] = c.Answer
		}
	}
	if len(answers) == 0 {
		a.answers.Store(nil)
		return
	}
	a.answers.Store(&answers)
}

// handler returns what answers r, nil where r is no question that is open.
func (a *asked) handler(r *http.Request) http.Handler {
	answers := a.answers.Load()
	if answers == nil || r.Method != http.MethodGet {
		return nil
	}
	token, ok := strings.CutPrefix(r.URL.Path, challenges)
	answer, known := (*answers)[token]
	if !ok || !known {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		io.WriteString(w, answer)
	})
}
