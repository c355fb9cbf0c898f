package intake

import (
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/sirupsen/logrus"
)

// saveAgain is the pause before a history is written again that could not be.
const saveAgain = 5 * time.Second

// saver writes the newest history to disk.
type saver struct {
	newest  chan unsaved // capacity 1: only the newest counts
	changes int64        // histories that were to be saved; the owner's
	saved   atomic.Int64 // the number of the one on disk
	ended   chan struct{}
}

// unsaved is a history to be written.
type unsaved struct {
	history store.History
	number  int64
	done    func()
}

func (s *saver) begin(write func(store.History) error, log *logrus.Logger) {
	s.newest, s.ended = make(chan unsaved, 1), make(chan struct{})
	go s.run(write, log)
}

// run ends with Close. What cannot be written is tried again.
func (s *saver) run(write func(store.History) error, log *logrus.Logger) {
	defer close(s.ended)
	for h := range s.newest {
		for err := write(h.history); err != nil; err = write(h.history) {
			log.WithError(err).Error("history cannot be saved")
			select {
			case newer, ok := <-s.newest:
				if !ok {
					return
				}
				h = newer
			case <-time.After(saveAgain):
			}
		}
		s.saved.Store(h.number)
		go h.done()
	}
}

// Save writes the history to disk, unless a newer one comes before: then that alone
// is. It does not keep h. done is called once it is there.
func (s *saver) Save(h store.History, done func()) {
	copied := make(store.History, len(h))
	for name, r := range h {
		copied[name] = r
	}
	select {
	case <-s.newest:
	default:
	}
	s.changes++
	s.newest <- unsaved{copied, s.changes, done}
}

// Saved reports whether the newest history is on disk.
func (s *saver) Saved() bool { return s.saved.Load() == s.changes }

// Close returns once the newest history was written, or could not be. Nothing is
// saved afterwards.
func (s *saver) Close() {
	close(s.newest)
	<-s.ended
}
