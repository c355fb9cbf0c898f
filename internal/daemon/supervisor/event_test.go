package supervisor

import (
	"context"
	"errors"
	"testing"

	"github.com/andrestc/go-plugserver/internal/daemon/operate"
)

// Nobody waits for a loop that has stopped, or that does not turn.
func TestAskNobody(t *testing.T) {
	s := &Supervisor{events: make(chan Event), done: make(chan struct{})}
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if err := s.ask(ctx, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("a loop that stands: %v", err)
	}
	close(s.done)
	if err := s.ask(context.Background(), func() {}); !errors.Is(err, operate.ErrStopped) {
		t.Errorf("a loop that has stopped: %v", err)
	}
}
