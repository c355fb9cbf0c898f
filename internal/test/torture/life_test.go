package torture

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// life is the e2e.TB of an arena: clean-ups run when a daemon's life is over,
// not at the test's end, and what is fatal ends the turn alone.
type life struct {
	t *testing.T

	mu     sync.Mutex // guards the rest
	ends   []func()
	errors []string
}

// over is what Fatalf panics with.
type over struct{}

func (l *life) Helper()                         {}
func (l *life) Logf(format string, args ...any) { l.t.Logf(format, args...) }

func (l *life) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, fmt.Sprintf(format, args...))
}

func (l *life) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	panic(over{})
}

// Failed is false: what went wrong in a turn is told with the turn.
func (l *life) Failed() bool { return false }

func (l *life) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = append(l.ends, f)
}

// end returns what runs the clean-ups so far.
func (l *life) end() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	ends := l.ends
	l.ends = nil
	return func() {
		for _, f := range slices.Backward(ends) {
			f()
		}
	}
}

// take returns the errors so far, and forgets them.
func (l *life) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.errors
	l.errors = nil
	return e
}

// try runs f and reports false if something in it was fatal.
func try(f func()) (ended bool) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case over{}:
		default:
			panic(p)
		}
	}()
	f()
	return true
}
