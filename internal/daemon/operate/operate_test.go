package operate

import (
	"context"
	"errors"
	"testing"

	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
)

// Whoever asks may go before the answer comes. What they were given by then is
// theirs: the loop writes to nothing that they read (run with -race).
func TestAnswerToNobody(t *testing.T) {
	for range 200 {
		questions := make(chan func(), 1)
		h := &lifecycle.Handler{Name: "a", Past: past.Past{Record: store.Record{Versions: []store.Served{{Sum: "0123456789abcdef"}}}}}
		d := &Desk{roster: &roster.Roster{Handlers: map[string]*lifecycle.Handler{"a": h}}, owner: Owner{
			Ask: func(_ context.Context, question func()) error { questions <- question; return nil },
		}}
		ctx, leave := context.WithCancel(context.Background())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			question := <-questions
			leave()
			question()
		}()
		past, err := d.History(ctx, "a")
		if err == nil && len(past.Versions) != 1 || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("got %+v, %v", past, err)
		}
		<-answered
	}
}
