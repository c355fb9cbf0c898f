package supervisor

import (
	"context"
	"errors"
	"testing"

	"github.com/andrestc/go-plugserver/internal/lifecycle"
	"github.com/andrestc/go-plugserver/internal/store"
)

// Whoever asks may go before the answer comes. What they were given by then is
// theirs: the loop writes to nothing that they read (run with -race).
func TestAnswerToNobody(t *testing.T) {
	for range 200 {
		s := &Supervisor{
			events: make(chan func(), 1), done: make(chan struct{}),
			handlers: map[string]*handler{"a": {Handler: &lifecycle.Handler{
				Name: "a", Record: store.Record{Versions: []store.Served{{Sum: "0123456789abcdef"}}},
			}}},
		}
		ctx, leave := context.WithCancel(context.Background())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			event := <-s.events
			leave()
			event()
		}()
		past, err := s.History(ctx, "a")
		if err == nil && len(past.Versions) != 1 || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("got %+v, %v", past, err)
		}
		<-answered
	}
}

// Nobody waits for a loop that has stopped, or that does not turn.
func TestAskNobody(t *testing.T) {
	question := func(func(struct{}, error)) {}
	s := &Supervisor{events: make(chan func()), done: make(chan struct{})}
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if _, err := ask(ctx, s, question); !errors.Is(err, context.Canceled) {
		t.Errorf("a loop that stands: %v", err)
	}
	close(s.done)
	if _, err := ask(context.Background(), s, question); !errors.Is(err, errStopped) {
		t.Errorf("a loop that has stopped: %v", err)
	}
}
