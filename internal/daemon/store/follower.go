package store

import (
	"fmt"
	"hash"
	"io"
	"sync"
)

const (
	// chunk is how much is read and hashed at a time, in bytes: little enough to stay in the
	// processor's cache.
	chunk = 128 << 10
	// piece is how much is written at a time: the more, the larger are the folios that file systems
	// take for it, and the less each page costs, here and where the copy is mapped.
	piece = 1 << 20
)

// A follower hashes on a second processor what was written to a copy on the first, at its
// own pace: hashing takes longer than writing, and who writes goes on to what follows.
type follower struct {
	copy io.ReaderAt
	hash hash.Hash
	done chan struct{} // closed once all is hashed, or cannot be
	err  error         // set before done closes

	mu      sync.Mutex // guards the rest
	more    sync.Cond
	written int64
	ended   bool // nothing more is written
}

// follow starts the goroutine that hashes. The caller calls wait.
func follow(file io.ReaderAt, h hash.Hash) *follower {
	f := &follower{copy: file, hash: h, done: make(chan struct{})}
	f.more.L = &f.mu
	go f.run()
	return f
}

func (f *follower) run() {
	defer close(f.done)
	buf := make([]byte, chunk)
	for at := int64(0); ; {
		b := buf[:min(chunk, f.after(at))]
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
func (f *follower) after(at int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.written == at && !f.ended {
		f.more.Wait()
	}
	return f.written - at
}

// wrote tells of n bytes more.
func (f *follower) wrote(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += int64(n)
	f.more.Signal()
}

// wait returns once every byte that was written is hashed, and the goroutine is gone.
func (f *follower) wait() error {
	f.mu.Lock()
	f.ended = true
	f.more.Signal()
	f.mu.Unlock()
	<-f.done
	return f.err
}
