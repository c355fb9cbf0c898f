package store

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/known"
)

// State is what stat(2) says of a file.
type State = known.State

// Doubt has no copy be believed from now on, by no later daemon neither: others than this may have written
// to the store. Each is read whole whenever it is looked for.
func (s *Store) Doubt() error { return s.known.Doubt() }

// Learn takes note that the copy was read whole just now, and of the file that it is a
// copy of; from is zero where there is none.
func (s *Store) Learn(from State, v Version) {
	if is, err := known.Stat(v.Path); err == nil {
		s.known.Learn(v.Sum, is, from)
	}
}

// Known returns the copy of a file that is in the state from, without reading either.
func (s *Store) Known(from State) (Version, bool) {
	sum, ok := s.known.Sum(from)
	if !ok {
		return Version{}, false
	}
	return s.unread(sum)
}

// unread returns a copy that is as it was when it was read.
func (s *Store) unread(sum string) (Version, bool) {
	is, err := known.Stat(s.path(sum))
	return Version{Sum: sum, Path: s.path(sum), Size: is.Size}, err == nil && s.known.Is(sum, is)
}

// restful is how much longer Check rests than it reads.
const restful = 9

// Check reads what was known of a daemon before, one copy after the other, and rests in
// between, for pause at the least. One that is damaged is deleted, and told.
func (s *Store) Check(ctx context.Context, pause time.Duration, damaged func(sum string)) {
	for sum := range s.known.Untried() {
		began := time.Now()
		_, err := s.read(sum)
		wanted := s.known.Has(sum)
		if s.known.Tried(sum); errors.Is(err, fs.ErrNotExist) {
			s.known.Forget(sum)
		}
		if wanted && errors.Is(err, errDamaged) {
			damaged(sum)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(pause, restful*time.Since(began))):
		}
	}
}
