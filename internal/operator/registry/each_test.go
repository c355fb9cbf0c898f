package registry

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
)

// All items have their turn, no more than some of them at once; the first error is the one that is told, and ends the others.
func TestEach(t *testing.T) {
	items := make([]int, 50)
	for i := range items {
		items[i] = i
	}
	var sum, now, most atomic.Int64
	err := Each(t.Context(), items, func(_ context.Context, i int) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		sum.Add(int64(i))
		return nil
	})
	if err != nil || sum.Load() != 50*49/2 || most.Load() > atOnce {
		t.Errorf("%v; the sum is %d, with %d at once", err, sum.Load(), most.Load())
	}
	bad, called := errors.New("bad"), atomic.Int64{}
	err = Each(t.Context(), items, func(ctx context.Context, i int) error {
		called.Add(1)
		if i == 1 {
			return bad
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if err != bad || called.Load() > 2*atOnce {
		t.Errorf("%v, after %d calls", err, called.Load())
	}
	if err := Each(t.Context(), nil, func(context.Context, int) error { return bad }); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}
