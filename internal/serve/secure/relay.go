package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/direct"
)

// relay is one connection.
type relay struct {
	raw    *closing
	secure *tls.Conn
	// plain is our end of the pair; nil during the handshake, set under Server.mu, with
	// its two ways.
	plain   *os.File
	answers syscall.RawConn
	asks    *direct.Way

	owes  atomic.Bool  // it has bytes that the client has not taken
	last  atomic.Int64 // when bytes have passed last, in Unix nanoseconds
	stall *time.Timer  // runs while the client has not taken what it was sent
}

const (
	// small is the buffer of a direction that little passes in.
	small = 2 << 10
	// large holds what a TLS record does.
	large = 16 << 10
	// patience is how long a client may take nothing once nobody serves the connection
	// any more.
	patience = 30 * time.Second
)

var buffers = sync.Pool{New: func() any { return new([large]byte) }}

// run relays until both directions have ended. The plain end is closed by the caller,
// and so is the connection.
func (r *relay) run() {
	r.stall = time.AfterFunc(patience, r.stalled)
	r.stall.Stop()
	defer r.stall.Stop()
	up := make(chan struct{})
	go func() {
		defer close(up)
		if !r.up() {
			// The client is gone: whoever serves the connection is told by the end of
			// the plain end, and down is.
			r.raw.Close()
			shutdown(r.plain, syscall.SHUT_RDWR)
		}
	}()
	r.down()
	r.raw.Close() // ends up
	r.plain.SetDeadline(time.Unix(1, 0))
	<-up
}

// cut ends the connection from without.
func (r *relay) cut(plain *os.File) {
	if plain != nil {
		r.raw.SetWriteDeadline(time.Unix(1, 0)) // of a write that waits
		r.secure.CloseWrite()
		shutdown(plain, syscall.SHUT_RDWR)
	}
	r.raw.Close()
}

func (r *relay) passed() { r.last.Store(time.Now().UnixNano()) }

// up relays what the client sends. It reports whether that has ended in good order,
// or nobody takes it any more; down sees to the rest.
func (r *relay) up() bool {
	buf := make([]byte, small)
	for {
		n, err := r.secure.Read(buf)
		if n > 0 {
			r.passed()
			if _, err := r.asks.Write(buf[:n]); err != nil {
				return true
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			// close_notify, or FIN, which net/http's server takes for the same.
			shutdown(r.plain, syscall.SHUT_WR)
			return true
		case err != nil:
			return false
		case n == len(buf) && n < large:
			buf = make([]byte, large)
		}
	}
}

// down relays what is answered, until whoever serves the connection has closed it.
func (r *relay) down() {
	for {
		p, n, err := r.next()
		if n > 0 {
			r.passed()
			r.stall.Reset(patience)
			r.owes.Store(true)
			_, werr := r.secure.Write(p[:n])
			r.owes.Store(false)
			r.stall.Stop()
			r.passed()
			buffers.Put(p)
			if werr != nil {
				return
			}
			continue
		}
		if err != nil {
			break // also ECONNRESET: closed with bytes of the client unread
		}
	}
	// Whoever has shut down its writing side may go on reading.
	if r.secure.CloseWrite() == nil {
		r.awaitClosed()
	}
}

// next reads what is answered into a buffer of the pool. There is one only while there
// is something in it: connections that wait have none.
func (r *relay) next() (p *[large]byte, n int, err error) {
	waitErr := r.answers.Read(func(fd uintptr) bool {
		p = buffers.Get().(*[large]byte)
		for {
			n, err = direct.ReadNow(fd, p[:])
			if err != syscall.EINTR {
				break
			}
		}
		if n <= 0 {
			buffers.Put(p)
			p = nil
		}
		return err != syscall.EAGAIN
	})
	switch {
	case waitErr != nil:
		return nil, 0, waitErr
	case err == nil && n == 0:
		err = io.EOF
	}
	return p, max(n, 0), err
}

// awaitClosed returns once nobody has the other end any more, or it was shut down both
// ways.
func (r *relay) awaitClosed() {
	if rc, err := r.plain.SyscallConn(); err == nil {
		rc.Read(func(fd uintptr) bool { return isClosed(fd) })
	}
}

const pollHup = 0x10 // POLLHUP, poll(2)

// isClosed reports whether fd's peer is.
func isClosed(fd uintptr) bool {
	p := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd)}
	var none syscall.Timespec
	_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&none)), 0, 0, 0)
	return errno != 0 && errno != syscall.EINTR || p.revents&pollHup != 0
}

// stalled ends a connection that nobody serves any more and whose client takes nothing:
// else it would be kept for good.
func (r *relay) stalled() {
	rc, err := r.plain.SyscallConn()
	closed := err != nil
	if !closed && rc.Control(func(fd uintptr) { closed = isClosed(fd) }) != nil {
		closed = true
	}
	if closed {
		r.raw.Close()
		return
	}
	r.stall.Reset(patience)
}

func shutdown(f *os.File, how int) {
	if rc, err := f.SyscallConn(); err == nil {
		rc.Control(func(fd uintptr) { syscall.Shutdown(int(fd), how) })
	}
}
