package intake

import (
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/sirupsen/logrus"
)

// saveAgain is the pause before a history is written again that could not be.
const saveAgain = 5 * time.Second

// saver writes the changes of the history to disk.
type saver struct {
	newest  chan unsaved // capacity 1: what comes before one is written goes with it
	changes int64        // how often something was to be saved; the owner's
	saved   atomic.Int64 // the number of the one on disk
	ended   chan struct{}
}

// unsaved are changes to be written.
type unsaved struct {
	changes store.Changes
	number  int64
	done    func()
}

func (s *saver) begin(write func(store.Changes) error, compact func() error, log *logrus.Logger) {
	s.newest, s.ended = make(chan unsaved, 1), make(chan struct{})
	go s.run(write, compact, log)
}

// run ends with Close. What cannot be written is tried again.
func (s *saver) run(write func(store.Changes) error, compact func() error, log *logrus.Logger) {
	defer close(s.ended)
	for h := range s.newest {
		for err := write(h.changes); err != nil; err = write(h.changes) {
			log.WithError(err).Error("history cannot be saved")
			select {
			case newer, ok := <-s.newest:
				if !ok {
					return
				}
				h = newer.after(h)
			case <-time.After(saveAgain):
			}
		}
		s.saved.Store(h.number)
		go h.done()
	}
	if err := compact(); err != nil {
		log.WithError(err).Warn("history is not compacted: nothing of it is lost")
	}
}

// after are changes that come after those of old, and these.
func (u unsaved) after(old unsaved) unsaved {
	for name, r := range old.changes {
		if _, newer := u.changes[name]; !newer {
			u.changes[name] = r
		}
	}
	return u
}

// Save writes changes of the history to disk, together with those that come before
// that is done. It keeps them. done is called once they are there, or for
// the last of those written together.
func (s *saver) Save(changes store.Changes, done func()) {
	s.changes++
	u := unsaved{changes, s.changes, done}
	select {
	case old := <-s.newest:
		u = u.after(old)
	default:
	}
	s.newest <- u
}

// Saved reports whether the newest history is on disk.
func (s *saver) Saved() bool { return s.saved.Load() == s.changes }

// Close returns once the newest history was written, or could not be. Nothing is
// saved afterwards.
func (s *saver) Close() {
	close(s.newest)
	<-s.ended
}
