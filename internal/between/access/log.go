package access

import (
	"bytes"
	"os"
	"sync"
	"time"
)

const (
	// Delay is how long a line waits for others, at the most.
	Delay = 100 * time.Millisecond
	// batch is how many bytes leave at once where there are so many.
	batch = 32 << 10
	// atomically is how many bytes reach a pipe, or a socket, in one piece (pipe(7)).
	atomically = 4 << 10
	// patience is how long a request may wait for room, once, where a reader stands still.
	patience = 100 * time.Millisecond
)

// Log is the access log as one process writes it. Any goroutine may call its methods; on
// a nil Log, Add does nothing.
type Log struct {
	format Format
	failed func(err error) // lines are lost from now on
	wake   chan struct{}   // lines wait, or a file; capacity 1
	full   chan struct{}   // many do; capacity 1
	write  sync.Mutex      // held while writing, and for what only the writer uses
	file   *os.File        // nil before the first
	atomic bool            // file takes any write whole
	torn   bool            // the last line in the file is not whole
	fails  bool            // the last write has failed

	mu      sync.Mutex // guards the rest; never held while writing
	ring    *Ring
	next    *os.File      // takes the place of file
	room    chan struct{} // closed once there is room again; nil where nobody waits
	stalled bool          // somebody has waited for it in vain, and nothing was written since
}

// New returns a log without a file: lines wait until there is one. It gathers them in
// the memory of ring, which it closes, or in its own where that is nil. failed is called
// where lines begin to be lost; it does not wait.
func New(format Format, ring *os.File, failed func(error)) *Log {
	l := &Log{format: format, failed: failed, wake: make(chan struct{}, 1), full: make(chan struct{}, 1)}
	if ring != nil {
		l.ring, _ = MapRing(ring, true)
		ring.Close()
	}
	if l.ring == nil {
		l.ring = NewRing()
	}
	go l.run()
	return l
}

// Put has lines go to f, which is l's from then on, in the place of the file before.
func (l *Log) Put(f *os.File) {
	l.mu.Lock()
	if l.next != nil {
		l.next.Close()
	}
	l.next = f
	l.mu.Unlock()
	signal(l.wake)
}

// Add adds a line. It waits for nothing, but once for patience where a reader stands still.
func (l *Log) Add(e *Entry) {
	if l == nil {
		return
	}
	var own [768]byte
	line := e.append(own[:0], l.format)
	for {
		l.mu.Lock()
		waits, ok := l.ring.put(line)
		if ok || l.stalled {
			if !ok {
				l.ring.head.lost.Add(1)
			}
			l.mu.Unlock()
			if ok && waits == len(line) {
				signal(l.wake)
			} else if waits >= batch && (waits-len(line) < batch || !ok) {
				signal(l.full)
			}
			return
		}
		if l.room == nil {
			l.room = make(chan struct{})
		}
		free := l.room
		l.mu.Unlock()
		signal(l.full)
		t := time.NewTimer(patience)
		select {
		case <-free:
		case <-t.C:
			l.mu.Lock()
			l.stalled = true
			l.mu.Unlock()
		}
		t.Stop()
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// run writes, for good.
func (l *Log) run() {
	t := time.NewTimer(0)
	<-t.C
	for range l.wake {
		for empty := false; !empty; empty = l.flush() {
			t.Reset(Delay)
			select {
			case <-t.C:
			case <-l.full:
				if !t.Stop() {
					select {
					case <-t.C:
					default:
					}
				}
			}
		}
	}
}

// flush writes what waits. It reports true where there is nothing to do any more.
func (l *Log) flush() (done bool) {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	next := l.next
	l.next = nil
	b := l.ring.waiting()
	l.mu.Unlock()
	if next != nil {
		if l.file != nil {
			l.file.Close()
		}
		l.file, l.torn = next, false
		st, err := next.Stat()
		l.atomic = err == nil && st.Mode().IsRegular()
	}
	if l.file == nil {
		return true // Put wakes
	}
	var lost int
	for rest := b; len(rest) > 0; {
		n := l.piece(rest)
		lost += l.writeOut(rest[:n])
		rest = rest[n:]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost > 0 {
		l.ring.head.lost.Add(uint64(lost))
	}
	l.stalled = false
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	return l.ring.take(len(b))
}

// piece is how many bytes of b are written at once: whole lines.
func (l *Log) piece(b []byte) int {
	if l.atomic || len(b) <= atomically {
		return len(b)
	}
	if i := bytes.LastIndexByte(b[:atomically], '\n'); i >= 0 {
		return i + 1
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// writeOut writes whole lines, and returns how many were lost.
func (l *Log) writeOut(b []byte) (lost int) {
	begin := 0
	if l.torn {
		begin = 1
		b = append([]byte{'\n'}, b...)
	}
	n, err := l.file.Write(b)
	if n > 0 {
		l.torn = b[n-1] != '\n'
	}
	if err == nil {
		l.fails = false
		return 0
	}
	if !l.fails {
		l.fails = true
		l.failed(err)
	}
	return bytes.Count(b[max(n, begin):], []byte{'\n'})
}

// Flush writes what waits, within limit: the process is about to end. What is left then
// the supervisor writes.
func (l *Log) Flush(limit time.Duration) {
	if l == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		l.flush()
		close(done)
	}()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
