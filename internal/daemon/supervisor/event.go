package supervisor

import (
	"context"
	"fmt"
	"strings"

	"github.com/andrestc/go-plugserver/internal/daemon/certs"
	"github.com/andrestc/go-plugserver/internal/daemon/files"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/operate"
)

// Event is what the goroutine of Run is told of.
type Event interface{ event() }

type (
	// looked: the intake has, at the directory.
	looked struct {
		look uint64
		seen intake.Seen
	}
	// ofFiles: it has done something about files.
	ofFiles struct{ files.Event }
	// inTurn: what the cells and their processes go on with in this goroutine.
	inTurn struct{ do func() }
	// woken: the time that a handler has asked for is over.
	woken struct {
		handler *lifecycle.Handler
		with    lifecycle.Event
	}
	// lookDue: it is time for the other look that the snapshot has asked for.
	lookDue struct{}
	// turned: it is time for something that is looked at after each event.
	turned struct{}
	// asked: an operator has a question.
	asked struct{ question func() }
	// misconfigured: there are, but they cannot be put in force.
	misconfigured struct{ problem error }
	// secured: other certificates are in force.
	secured struct{ certs.Force }
)

func (looked) event()        {}
func (ofFiles) event()       {}
func (inTurn) event()        {}
func (woken) event()         {}
func (lookDue) event()       {}
func (turned) event()        {}
func (asked) event()         {}
func (misconfigured) event() {}
func (secured) event()       {}

// on does what comes of an event, but for what is looked at after each.
func (s *Supervisor) on(e Event) {
	switch e := e.(type) {
	case looked:
		s.looked(e.look, e.seen)
	case ofFiles:
		s.files.Handle(e.Event)
	case inTurn:
		e.do()
	case woken:
		if s.roster.Has(e.handler) {
			s.handle(e.handler, e.with)
		}
	case lookDue:
		s.lookAt(false)
	case turned:
	case asked:
		e.question()
	case secured:
		s.secured(e.Force)
	case misconfigured:
		s.view.Misconfigured = strings.ReplaceAll(e.problem.Error(), "\n", "; ")
		s.log.WithError(e.problem).Error("settings are refused: those before stay in force")
	default:
		panic(fmt.Sprintf("supervisor: unknown event %T", e))
	}
}

// post sends an event to the owner of the state. It gives up once Run has
// returned, and says so.
func (s *Supervisor) post(e Event) bool {
	select {
	case s.events <- e:
		return true
	case <-s.done:
		return false
	}
}

// ask is post for as long as an operator waits.
func (s *Supervisor) ask(ctx context.Context, question func()) error {
	select {
	case s.events <- asked{question}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return operate.ErrStopped
	}
}
