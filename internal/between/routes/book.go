package routes

import "iter"

// Book is an Index to which items are added as they come to be known. It only grows, and is
// made anew of those that there still are once most of it may be of before. The zero
// Book has none.
type Book[T comparable] struct {
	index *Index[T]
	known map[T]bool
	most  int // then it is made anew
}

// Add adds an item, unless it is known, and its patterns, which never change and are of the
// dialect. Those that there are, this one among them, are all.
func (b *Book[T]) Add(d Dialect, item T, patterns []string, all iter.Seq2[T, []string]) {
	switch {
	case b.known[item]:
		return
	case len(b.known) < b.most:
		b.put(item, patterns)
		return
	}
	b.index, b.known = NewIndex[T](d, nil, nil), make(map[T]bool)
	for item, patterns := range all {
		b.put(item, patterns)
	}
	b.most = 2*len(b.known) + 100
}

func (b *Book[T]) put(item T, patterns []string) {
	if !b.known[item] {
		b.known[item] = true
		for _, p := range patterns {
			b.index.Add(item, p)
		}
	}
}

// Overlapping is the Index's; an item is there once for each of its patterns.
func (b *Book[T]) Overlapping(patterns []string) []T {
	if b.index == nil || len(patterns) == 0 {
		return nil
	}
	return b.index.Overlapping(patterns)
}
