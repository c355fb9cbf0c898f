// Package accesslog has the file of the access log: it opens it, and again where it was
// rotated, gives it to each process that serves, and writes what those had gathered that
// are gone, killed ones included.
//
// Any goroutine may call its methods, which wait for no process; on a nil Log they do
// nothing.
package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/sealed"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Gate is the gate's number among the processes; no cell has it.
const Gate = 0

// Words that stand for no path.
const (
	Journal = "journal"
	Stdout  = "stdout"
)

// Config is what a Log is given.
type Config struct {
	To     string // a path, Journal or Stdout
	Format access.Format
	// Journal opens a way to the journal.
	Journal func() (*os.File, error)
	Log     *logrus.Logger
}

// Log is the access log of one daemon.
type Log struct {
	cfg  Config
	work sync.WaitGroup // writes for the dead
	turn sync.Mutex     // of those writes

	mu        sync.Mutex // guards the rest
	file      *os.File
	processes map[uint64]*process
	lost      uint64 // lines, of processes that are gone
}

// process is one that writes lines.
type process struct {
	send func(link.Message) error
	ring *access.Ring // nil where there was no memory for it
}

// Open opens the access log. The error names its fix.
func Open(cfg Config) (*Log, error) {
	l := &Log{cfg: cfg, processes: make(map[uint64]*process)}
	f, err := l.open()
	if err != nil {
		return nil, err
	}
	l.file = f
	return l, nil
}

func (l *Log) open() (*os.File, error) {
	switch l.cfg.To {
	case Stdout:
		return dup(os.Stdout)
	case Journal:
		f, err := l.cfg.Journal()
		if err != nil {
			return nil, fmt.Errorf("access log: the journal does not take it: %w; name a file with --access-log where systemd-journald does not run", err)
		}
		return f, nil
	}
	// O_NONBLOCK, so that a FIFO of that name cannot block the open.
	f, err := os.OpenFile(l.cfg.To, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0o640)
	if err != nil {
		return nil, openError(l.cfg.To, err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() && st.Mode()&fs.ModeCharDevice == 0 {
		err = errors.New("not a regular file")
	}
	if err == nil {
		err = unix.SetNonblock(int(f.Fd()), false)
	}
	if err != nil {
		f.Close()
		return nil, openError(l.cfg.To, err)
	}
	return f, nil
}

func openError(path string, err error) error {
	fix := "name another file with --access-log"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fix = fmt.Sprintf("make the folder %q, for the daemon's user to write", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		fix = fmt.Sprintf("let the daemon's user write in %q", filepath.Dir(path))
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // without the path again
	}
	return fmt.Errorf("access log %q cannot be opened: %w; %s", path, err, fix)
}

func dup(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// Reopen opens the file again, which may have been renamed, and has every process write
// there. After an error the one before stays.
func (l *Log) Reopen() error {
	if l == nil || l.cfg.To == Stdout {
		return nil
	}
	f, err := l.open()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file.Close()
	l.file = f
	for id := range l.processes {
		l.give(id)
	}
	return nil
}

// Begin has a process write lines, which send tells something. It does not wait.
func (l *Log) Begin(id uint64, send func(link.Message) error) {
	if l == nil {
		return
	}
	p := &process{send: send}
	memory, err := sealed.New("access", access.Size)
	if err == nil {
		if p.ring, err = access.MapRing(memory, false); err != nil {
			memory.Close()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes[id] = p
	if p.ring == nil {
		l.give(id)
		return
	}
	l.give(id, memory)
}

// Again is Begin's second part for a process that had no descriptor left: after a pause,
// for some become free by and by.
func (l *Log) Again(id uint64) {
	if l == nil {
		return
	}
	time.AfterFunc(startAgain, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.give(id)
	})
}

const startAgain = 100 * time.Millisecond

// give gives the file to a process, with what else it is to have. The lock is held.
func (l *Log) give(id uint64, more ...*os.File) {
	p := l.processes[id]
	if p == nil {
		return
	}
	f, err := dup(l.file)
	if err != nil {
		for _, f := range more {
			f.Close()
		}
		l.Again(id)
		return
	}
	p.send(link.Message{Kind: link.Access, Format: string(l.cfg.Format), FDs: append([]*os.File{f}, more...)})
}

// End writes what a process had gathered that is gone.
func (l *Log) End(id uint64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.processes[id]
	delete(l.processes, id)
	if p == nil || p.ring == nil {
		return
	}
	l.lost += p.ring.Lost()
	left := p.ring.Left()
	p.ring.Unmap()
	if len(left) == 0 {
		return
	}
	f, err := dup(l.file)
	if err != nil {
		l.lose(left, err)
		return
	}
	l.work.Go(func() {
		l.turn.Lock()
		defer l.turn.Unlock()
		defer f.Close()
		if n, err := f.Write(left); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.lose(left[n:], err)
		}
	})
}

// lose counts lines that are not written. The lock is held.
func (l *Log) lose(lines []byte, why error) {
	l.lost += uint64(bytes.Count(lines, []byte{'\n'}))
	l.cfg.Log.WithError(why).Warn("access log: lines of a process that has ended are lost")
}

// Lost is how many lines were lost since the daemon's start.
func (l *Log) Lost() uint64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lost
	for _, p := range l.processes {
		if p.ring != nil {
			n += p.ring.Lost()
		}
	}
	return n
}

// Close waits, within limit, until what was begun is written. No process may live any more.
func (l *Log) Close(limit time.Duration) {
	if l == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		l.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}
