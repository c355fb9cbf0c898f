package watch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// State is what is known of the writer of a file.
type State uint8

const (
	Unknown State = iota // nothing
	Open                 // it has the file open: from the first write that was seen to the next close
	Closed               // it has closed the file
	Moved                // the file was renamed to its name, and not written to since; nobody is known to have had it open
)

// writers knows which files in a directory somebody has open for writing, as far
// as inotify(7) has told since it began. fsnotify keeps IN_CLOSE_WRITE to itself.
type writers struct {
	file   *os.File      // the inotify instance
	closed chan struct{} // capacity 1: a file was closed by its writer

	mu    sync.Mutex
	state map[string]State // by name, where it is known
	moved map[uint32]State // by cookie: of a file that is being renamed
	buf   []byte
}

// watchWriters watches dir. The caller closes the writers.
func watchWriters(dir string) (*writers, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("start inotify: %w", err)
	}
	// Of a file that was removed or replaced nothing is told under its old name.
	const mask = unix.IN_EXCL_UNLINK | unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_DELETE
	if _, err := unix.InotifyAddWatch(fd, dir, mask|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("add inotify watch: %w", err)
	}
	w := &writers{
		file: os.NewFile(uintptr(fd), "inotify"), closed: make(chan struct{}, 1),
		state: make(map[string]State), moved: make(map[uint32]State),
		buf: make([]byte, 64<<10),
	}
	go w.run()
	return w, nil
}

// run reads whenever there is something to read, until the file is closed.
func (w *writers) run() {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	for {
		ended := false
		err := conn.Read(func(fd uintptr) bool {
			n, err := w.drain(int(fd))
			ended = err != nil
			return n > 0 || ended // else it is waited for
		})
		if err != nil || ended {
			return
		}
	}
}

// writing says what is known of the file of that name. What happened before the call
// counts.
func (w *writers) writing(name string) State {
	if conn, err := w.file.SyscallConn(); err == nil {
		conn.Control(func(fd uintptr) { w.drain(int(fd)) })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state[name]
}

// drain takes in all events there are.
func (w *writers) drain(fd int) (events int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		n, err := unix.Read(fd, w.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return events, nil
		case err != nil:
			return events, err
		}
		for b := w.buf[:n]; len(b) >= unix.SizeofInotifyEvent; events++ {
			mask, cookie, size := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
			name := b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+size]
			b = b[unix.SizeofInotifyEvent+size:]
			w.event(mask, cookie, string(bytes.TrimRight(name, "\x00")))
		}
	}
}

// event takes in one event. A path that is truncated, by truncate(2), is never
// closed; who asks has to bound what that means.
func (w *writers) event(mask, cookie uint32, name string) {
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		clear(w.state)
		clear(w.moved)
	case mask&unix.IN_MODIFY != 0:
		w.state[name] = Open
	case mask&unix.IN_CLOSE_WRITE != 0:
		w.state[name] = Closed
		if strings.HasPrefix(name, ".") {
			return // see aside
		}
		select {
		case w.closed <- struct{}{}:
		default:
		}
	case mask&unix.IN_MOVED_FROM != 0:
		if w.state[name] == Open {
			clear(w.moved) // those before have left the directory
			w.moved[cookie] = Open
		}
		delete(w.state, name)
	case mask&unix.IN_MOVED_TO != 0:
		w.state[name] = Moved // what was there is gone
		if w.moved[cookie] == Open {
			w.state[name] = Open
			delete(w.moved, cookie)
		}
	case mask&(unix.IN_CREATE|unix.IN_DELETE) != 0:
		delete(w.state, name)
	}
}

func (w *writers) close() { w.file.Close() }
