package proc

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/andrestc/go-plugserver/internal/between/epoll"
	"github.com/andrestc/go-plugserver/internal/between/transcript"
	"golang.org/x/sys/unix"
)

// outlet reads one stream that a child prints, to its end. While nothing comes, and from most children nothing ever
// does, it has neither a goroutine nor a buffer.
type outlet struct {
	fd    int // of the pipe
	watch *epoll.Watch
	begun []byte // a line, of which the end has not come
	heard func(line string)
	ended func()
}

// newOutlet returns an outlet and the end of its pipe that is for the child. It calls heard with each line, and then ended.
func newOutlet(heard func(line string), ended func()) (*outlet, *os.File, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	o := &outlet{fd: ends[0], heard: heard, ended: ended}
	err := os.NewSyscallError("fcntl", unix.SetNonblock(o.fd, true))
	if err == nil {
		o.watch, err = epoll.Add(o.fd)
	}
	if err == nil && !o.watch.Arm(o.read) {
		o.watch.Remove()
		err = errors.New("the output cannot be waited for")
	}
	if err != nil {
		unix.Close(ends[0])
		unix.Close(ends[1])
		return nil, nil, err
	}
	return o, os.NewFile(uintptr(ends[1]), "output"), nil
}

// line is where lines are read into.
type line [transcript.MaxLine]byte

var free = sync.Pool{New: func() any { return new(line) }}

// read reads what there is.
func (o *outlet) read() {
	buf := free.Get().(*line)
	defer free.Put(buf)
	n := copy(buf[:], o.begun)
	o.begun = nil
	for !o.watch.Removed() {
		k, err := unix.Read(o.fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			o.begun = slices.Clone(buf[:n])
			if o.watch.Arm(o.read) {
				return // it may be read from by another goroutine already
			}
		}
		if err != nil || k == 0 {
			break
		}
		n = o.split(buf, n+k)
	}
	if n > 0 {
		o.say(buf[:n])
	}
	o.watch.Remove()
	unix.Close(o.fd)
	o.ended()
}

// split hears the lines in the n bytes of buf, cuts one that is too long, and returns how many bytes are left, at its beginning.
func (o *outlet) split(buf *line, n int) int {
	rest := buf[:n]
	for {
		b, after, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole {
			break
		}
		o.say(b)
		rest = after
	}
	if len(rest) == len(buf) {
		o.say(rest)
		rest = nil
	}
	return copy(buf[:], rest)
}

func (o *outlet) say(b []byte) { o.heard(strings.TrimRight(string(b), "\r")) }

// cut ends it, though more may come.
func (o *outlet) cut() {
	if read := o.watch.Remove(); read != nil {
		read() // which has it end
	}
}
