// Package follower hashes a file while it is being written.
package follower

import (
	"fmt"
	"hash"
	"io"
	"sync"
)

// Chunk is how much is read and hashed at a time, in bytes: little enough to stay in the
// processor's cache.
const Chunk = 128 << 10

// A Follower hashes on a second processor what was written to a copy on the first, at its
// own pace: hashing takes longer than writing, and who writes goes on to what follows.
type Follower struct {
	copy io.ReaderAt
	hash hash.Hash
	done chan struct{} // closed once all is hashed, or cannot be
	err  error         // set before done closes

	mu      sync.Mutex // guards the rest
	more    sync.Cond
	written int64
	ended   bool // nothing more is written
}

// Follow starts the goroutine that hashes. The caller calls Wait.
func Follow(file io.ReaderAt, h hash.Hash) *Follower {
	f := &Follower{copy: file, hash: h, done: make(chan struct{})}
	f.more.L = &f.mu
	go f.run()
	return f
}

func (f *Follower) run() {
	defer close(f.done)
	buf := make([]byte, Chunk)
	for at := int64(0); ; {
		b := buf[:min(Chunk, f.after(at))]
		if len(b) == 0 {
			return
		}
		if _, err := f.copy.ReadAt(b, at); err != nil {
			f.err = fmt.Errorf("read what was stored: %w", err)
			return
		}
		f.hash.Write(b)
		at += int64(len(b))
	}
}

// after waits until more than at bytes are written, and returns how many more; 0 once nothing
// more is.
func (f *Follower) after(at int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.written == at && !f.ended {
		f.more.Wait()
	}
	return f.written - at
}

// Wrote tells of n bytes more.
func (f *Follower) Wrote(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += int64(n)
	f.more.Signal()
}

// Wait returns once every byte that was written is hashed, and the goroutine is gone.
func (f *Follower) Wait() error {
	f.mu.Lock()
	f.ended = true
	f.more.Signal()
	f.mu.Unlock()
	<-f.done
	return f.err
}
