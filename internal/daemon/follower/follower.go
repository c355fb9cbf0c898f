// Package follower hashes a file while it is being written, and compares what was.
package follower

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// Chunk is how much is read and hashed at a time, in bytes: little enough to stay in the
// processor's cache.
const Chunk = 128 << 10

// chunks are those that were read, for the next.
var chunks = sync.Pool{New: func() any { return new([Chunk]byte) }}

// A Follower hashes on a second processor what was written to a copy on the first, at its
// own pace: hashing takes longer than writing, and who writes goes on to what follows.
type Follower struct {
	copy io.ReaderAt
	to   io.Writer
	done chan struct{} // closed once all is hashed, or cannot be
	err  error         // set before done closes

	mu      sync.Mutex // guards the rest
	more    sync.Cond
	written int64
	ended   bool // nothing more is written
}

// Follow starts the goroutine that hashes, to a writer that never fails. The caller calls Wait.
func Follow(file io.ReaderAt, to io.Writer) *Follower {
	f := &Follower{copy: file, to: to, done: make(chan struct{})}
	f.more.L = &f.mu
	go f.run()
	return f
}

func (f *Follower) run() {
	defer close(f.done)
	buf := chunks.Get().(*[Chunk]byte)
	defer chunks.Put(buf)
	for at := int64(0); ; {
		b := buf[:min(Chunk, f.after(at))]
		if len(b) == 0 {
			return
		}
		if _, err := f.copy.ReadAt(b, at); err != nil {
			f.err = fmt.Errorf("read what was stored: %w", err)
			return
		}
		f.to.Write(b)
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

// Same reports whether a file has what is at the path, too. One that cannot be
// read does not.
func Same(a io.ReaderAt, path string) bool {
	b, err := os.Open(path)
	if err != nil {
		return false
	}
	defer b.Close()
	mine, its := chunks.Get().(*[Chunk]byte), chunks.Get().(*[Chunk]byte)
	defer chunks.Put(mine)
	defer chunks.Put(its)
	for at := int64(0); ; at += Chunk {
		n, err := a.ReadAt(mine[:], at)
		m, e := b.ReadAt(its[:], at)
		switch {
		case !bytes.Equal(mine[:n], its[:m]):
			return false
		case err == io.EOF || e == io.EOF:
			return err == e
		case err != nil || e != nil:
			return false
		}
	}
}
