package registry

import (
	"context"
	"sync"
)

// atOnce is how many items Each has under way at a time.
const atOnce = 4

// Each calls f, which asks a registry, for all items, some at a time, and returns the first error, which ends the others.
func Each[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	todo := make(chan T)
	for range min(atOnce, len(items)) {
		all.Go(func() {
			for item := range todo {
				if err := f(ctx, item); err != nil {
					cancel(err) // the first holds
				}
			}
		})
	}
	for _, item := range items {
		if ctx.Err() != nil {
			break
		}
		todo <- item
	}
	close(todo)
	all.Wait()
	return context.Cause(ctx)
}
