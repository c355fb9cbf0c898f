package handover

import (
	"bufio"
	"io"
	"sync"
	"syscall"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/direct"
)

// Most handlers read a body in pieces of a few KiB, and each costs a system call.
// So a call takes, besides the piece that is asked for, more of the body if it has
// come: to copy that once more costs less than the calls. Nothing behind the body
// is taken.
//
// It is done while a handler runs, since then nobody but the handler has a say in
// when a read ends. A read deadline of its own is looked at before each piece.

// aheadSize is how many bytes of a body are read ahead, at most.
const aheadSize = 24 << 10

var aheadBuffers = sync.Pool{New: func() any { return new([aheadSize]byte) }}

// ahead reads the bodies of a connection's requests.
type ahead struct {
	raw  syscall.RawConn
	step func(fd uintptr) bool // try, made once
	look func(fd uintptr) bool

	p    []byte // what was asked for
	left int64  // of the body
	buf  *[aheadSize]byte
	n    int
	err  error

	// lent says that buf is the connection's buffer, in the place of own.
	lent bool
	own  []byte
}

// try reads once; false is to wait for the client.
func (a *ahead) try(fd uintptr) bool {
	a.buf = aheadBuffers.Get().(*[aheadSize]byte)
	var v [2]syscall.Iovec
	v[0].Base, v[1].Base = &a.p[0], &a.buf[0]
	v[0].SetLen(len(a.p))
	v[1].SetLen(int(min(aheadSize, a.left-int64(len(a.p)))))
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_READV, fd, uintptr(unsafe.Pointer(&v)), uintptr(len(v)))
		switch {
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			a.n, a.err = 0, errno
		case n == 0:
			a.n, a.err = 0, io.EOF
		default:
			a.n, a.err = int(n), nil
		}
		break
	}
	if a.n <= len(a.p) {
		a.giveBack()
	}
	return a.err != syscall.EAGAIN
}

func (a *ahead) giveBack() {
	aheadBuffers.Put(a.buf)
	a.buf = nil
}

// reader returns what reads ahead on s, or nil.
func (s *wholeConn) reader() *ahead {
	if s.sealed != nil {
		return nil // it reads a record at a time
	}
	if s.ahead == nil {
		sc, err := s.syscallConn()
		if err != nil {
			return nil
		}
		s.ahead = &ahead{raw: sc, look: func(uintptr) bool { return true }}
		s.ahead.step = s.ahead.try
	}
	return s.ahead
}

// readAhead reads into p, which is to be filled by a body of which more is left,
// and into the connection's buffer what else of it has come.
func (s *wholeConn) readAhead(a *ahead, p []byte, left int64) (int, error) {
	a.p, a.left = p, left
	err := a.raw.Read(a.step)
	a.p = nil
	if err == nil {
		err = a.err
	}
	if err != nil {
		return 0, direct.Error(s.raw, "read", err)
	}
	if a.n <= len(p) {
		return a.n, nil
	}
	a.own, a.lent = s.buf, true
	s.buf, s.r, s.w = a.buf[:], 0, a.n-len(p)
	return len(p), nil
}

// mayTake says whether what was read ahead may be taken still: not where the
// handler's deadline for it has passed, or the connection is closed.
func (s *wholeConn) mayTake() error {
	if a := s.ahead; a == nil || !a.lent || !s.isPosed() {
		return nil
	} else if err := a.raw.Read(a.look); err != nil {
		return direct.Error(s.raw, "read", err)
	}
	return nil
}

// taken gives the buffer back once all that was read ahead is taken.
func (s *wholeConn) taken() {
	if a := s.ahead; a != nil && a.lent && s.r == s.w {
		a.lent = false
		s.buf, a.own = a.own, nil
		s.r, s.w = 0, 0
		a.giveBack()
	}
}

// surrender puts all that waits into the server's buffer, for a handler that takes
// the connection: net/http's own has room for a part of what was read ahead.
func (s *wholeConn) surrender() {
	b := s.bufr
	if b == nil {
		return
	}
	n := b.Buffered() + len(s.pending())
	if n > b.Size() {
		had, _ := b.Peek(b.Buffered())
		s.buf = append(append([]byte(nil), had...), s.pending()...)
		s.r, s.w = 0, n
		*b = *bufio.NewReaderSize(s, n)
	}
	b.Peek(n)
}
