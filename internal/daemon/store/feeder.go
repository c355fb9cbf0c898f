package store

import (
	"fmt"
	"hash"
	"io"
)

// chunk is how much is read, written and hashed at a time, in bytes: little
// enough to stay in the processor's cache between the three.
const chunk = 128 << 10

// A feeder hashes on a second processor what copy writes on the first.
type feeder struct {
	full chan []byte   // chunks to hash; closed by wait
	free chan []byte   // chunks to fill; never closed
	done chan struct{} // closed once everything is hashed
}

// newFeeder starts the goroutine that hashes. The caller calls wait.
func newFeeder(h hash.Hash) *feeder {
	const chunks = 4
	f := &feeder{
		full: make(chan []byte, chunks),
		free: make(chan []byte, chunks),
		done: make(chan struct{}),
	}
	for range chunks {
		f.free <- make([]byte, chunk)
	}
	go func() {
		defer close(f.done)
		for p := range f.full {
			h.Write(p)
			f.free <- p[:cap(p)]
		}
	}()
	return f
}

// copy reads src to its end, has it hashed, and writes it. Chunks go to the
// goroutine before they are written: hashing only reads them, as write does.
func (f *feeder) copy(src io.Reader, write func([]byte) error) (size int64, err error) {
	for {
		p := <-f.free
		n, err := io.ReadFull(src, p)
		size += int64(n)
		f.full <- p[:n]
		if n > 0 {
			if err := write(p[:n]); err != nil {
				return size, err
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return size, nil
		default:
			return size, fmt.Errorf("read handler file: %w", err)
		}
	}
}

// wait returns once every chunk is hashed and the goroutine is gone.
func (f *feeder) wait() {
	close(f.full)
	<-f.done
}
