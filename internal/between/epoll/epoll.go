// Package epoll tells when descriptors can be read from (epoll(7)): one goroutine waits for thousands, each of
// which would have its own in the usual way, and with it a stack of 8 KB.
package epoll

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// Watch is that of one descriptor, which stays open until Remove.
type Watch struct {
	fd int
	id uint64

	// Guarded by all.mu.
	do      func() // nil while nobody waits
	removed bool
}

// poller is the one of this process.
type poller struct {
	mu      sync.Mutex // guards the rest
	file    *os.File   // nil before the first Watch
	fd      int
	last    uint64 // id
	watches map[uint64]*Watch
}

var all poller

// Begin makes at once what the first Watch would: its descriptor is there then, though there were none left later.
func Begin() error {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.begin()
}

// most is how many descriptors are asked for at a time.
const most = 64

// begin makes the epoll instance, which is itself waited for by the runtime: no thread is held up by it.
func (p *poller) begin() error {
	if p.file != nil {
		return nil
	}
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "epoll")
	rc, err := f.SyscallConn()
	if err == nil {
		err = f.SetReadDeadline(time.Time{}) // fails where the runtime does not wait for it
	}
	if err != nil {
		f.Close()
		return err
	}
	p.file, p.fd, p.watches = f, fd, make(map[uint64]*Watch)
	go rc.Read(func(uintptr) bool {
		p.look()
		return false // for good
	})
	return nil
}

// look calls back whoever waits for what can be read from by now.
func (p *poller) look() {
	var events [most]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(p.fd, events[:], 0)
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		p.mu.Lock()
		for _, e := range events[:n] {
			w := p.watches[uint64(uint32(e.Pad))<<32|uint64(uint32(e.Fd))]
			if w != nil && w.do != nil { // else it was removed meanwhile
				go w.do()
				w.do = nil
			}
		}
		p.mu.Unlock()
	}
}

// control changes what the kernel knows of a Watch; the caller holds mu.
func (p *poller) control(op int, w *Watch, events uint32) error {
	e := syscall.EpollEvent{Events: events | syscall.EPOLLONESHOT, Fd: int32(w.id), Pad: int32(w.id >> 32)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.fd, op, w.fd, &e))
}

// Add returns a Watch of a descriptor, for which nobody waits yet.
func Add(fd int) (*Watch, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if err := all.begin(); err != nil {
		return nil, err
	}
	all.last++
	w := &Watch{fd: fd, id: all.last}
	if err := all.control(syscall.EPOLL_CTL_ADD, w, 0); err != nil {
		return nil, err
	}
	all.watches[w.id] = w
	return w, nil
}

// Arm has do called, once and in a goroutine of its own, as soon as there is something to read, or never will be.
// It reports false where it is not, after Remove.
func (w *Watch) Arm(do func()) bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	if w.removed || all.control(syscall.EPOLL_CTL_MOD, w, syscall.EPOLLIN|syscall.EPOLLRDHUP) != nil {
		return false
	}
	w.do = do
	return true
}

// Removed reports whether Remove was called.
func (w *Watch) Removed() bool {
	all.mu.Lock()
	defer all.mu.Unlock()
	return w.removed
}

// Remove ends the watch: the descriptor may be closed then. It returns what was still to be called, and is not any more, nil if nothing.
func (w *Watch) Remove() (do func()) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if w.removed {
		return nil
	}
	all.control(syscall.EPOLL_CTL_DEL, w, 0)
	delete(all.watches, w.id)
	do, w.do, w.removed = w.do, nil, true
	return do
}
