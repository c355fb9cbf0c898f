// Package wire carries frames, each with the descriptors that belong to it,
// over a Unix stream socket. A frame arrives whole, in order, with exactly its
// own descriptors, or the connection fails.
//
// Every descriptor is closed on exec (MSG_CMSG_CLOEXEC, recv(2)) and belongs
// to the receiver from the moment Recv returns it.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/epoll"
)

const (
	// MaxBody bounds a frame's body, in bytes: a request's head as large as
	// --max-header-bytes allows has to fit, and a hostile length must not
	// make the receiver allocate at will.
	MaxBody = 16 << 20
	// MaxFDs bounds the descriptors of one frame.
	MaxFDs = 64

	bufferSeldom = 2 << 10  // at first: there are as many as handlers, and most get little
	bufferSize   = 16 << 10 // once a read has filled one
	bufferKept   = 64 << 10 // a larger one is for one frame

	headerLen = 8 // body length (4, big endian), kind, descriptors, magic (2)
	magic     = 0x5053
)

// ErrFDsLost says that the kernel could not install a frame's descriptors,
// because this process has as many open as it may (MSG_CTRUNC, recv(2)).
// The frame is consumed and the connection goes on.
var ErrFDsLost = errors.New("receive descriptors: too many open files")

// The other side sends what no Send does: nothing after it can be believed.
var (
	errHeader  = errors.New("receive frame: malformed header")
	errForeign = errors.New("receive frame: descriptors that no frame declares")
)

// scmMaxFD is how many descriptors one message can carry (SCM_MAX_FD, unix(7)).
// With room for them all, those that do not come are lost for want of descriptors,
// and for nothing else.
const scmMaxFD = 253

// Frame is one message. Kind is the sender's to define.
type Frame struct {
	Kind byte
	Body []byte // valid until the next Recv
	FDs  []int  // the receiver's to close
}

// Conn is one end. Send may be called from many goroutines, Recv from one.
type Conn struct {
	uc socket

	out struct {
		sync.Mutex // held while writing
		buf        []byte
	}
	posted struct {
		sync.Mutex
		room    sync.Cond // there may be room in buf
		buf     []byte    // what waits to be written
		spare   []byte
		writing bool  // a goroutine sees to it
		err     error // of a write
	}

	// Owned by the goroutine that calls Recv.
	most       int    // bytes of a frame's body
	room       *room  // nil while nobody reads
	buf        []byte // what was read and not yet consumed is buf[r:w]
	r, w       int
	filled     bool  // by the last read: there may be more
	start, end int64 // the stream's offsets of buf[r] and buf[w]
	arrived    []arrival

	later   epoll.Waiter
	reads   atomic.Uint64 // that were begun
	resting atomic.Bool   // Later waits, or has just done
	quiet   uint64        // reads, at the last Quiet
}

// room is where a Conn reads at first.
type room struct {
	buf [bufferSeldom]byte
	oob []byte
}

var rooms = sync.Pool{New: func() any { return &room{oob: make([]byte, syscall.CmsgSpace(4*scmMaxFD))} }}

// arrival holds the descriptors that one recvmsg brought. The kernel never
// merges past a message with descriptors, so they belong to the one frame with
// descriptors that begins in [from, to).
type arrival struct {
	from, to int64
	fds      []int
	lost     bool
}

// New returns a Conn over uc and takes ownership of it.
func New(uc *net.UnixConn) *Conn {
	if raw, err := uc.SyscallConn(); err == nil {
		return newConn(newPolled(uc, raw))
	}
	return newConn(uc)
}

func newConn(uc socket) *Conn {
	c := &Conn{uc: uc, most: MaxBody}
	c.posted.room.L = &c.posted
	return c
}

// FromFile returns a Conn over f's socket and closes f.
func FromFile(f *os.File) (*Conn, error) {
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("open socket %q: %w", f.Name(), err)
	}
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		nc.Close()
		return nil, fmt.Errorf("open socket %q: not a Unix socket", f.Name())
	}
	return New(uc), nil
}

// Pair returns the two ends of a new connected pair (socketpair(2)), as files
// fit to be passed to a child or in a frame.
func Pair() (a, b *os.File, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}

// Passing reports whether a Send has failed for want of something that comes
// back: of memory, or of room for descriptors on their way (ETOOMANYREFS,
// unix(7)). Nothing of the frame was sent, and it may be sent again.
func Passing(err error) bool {
	return errors.Is(err, syscall.ETOOMANYREFS) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// writePause is the pause before the rest of a frame is tried again.
const writePause = 10 * time.Millisecond

// Send writes one frame whose body is the parts in a row, behind all that was
// posted. The descriptors stay the caller's. After an error the stream is not
// usable any more, unless the error came before the first byte (Passing).
func (c *Conn) Send(kind byte, fds []int, parts ...[]byte) error {
	c.out.Lock()
	defer c.out.Unlock()
	if err := c.flushPosted(); err != nil {
		return err
	}
	b, err := appendFrame(c.out.buf[:0], kind, len(fds), parts)
	if err != nil {
		return err
	}
	if cap(b) <= bufferKept {
		c.out.buf = b // one huge frame does not pin its buffer for good
	}
	var oob []byte
	if len(fds) > 0 {
		oob = syscall.UnixRights(fds...)
	}
	sent, _, err := c.uc.WriteMsgUnix(b, oob, nil)
	if err != nil {
		return err
	}
	return writeAll(c.uc, b[sent:])
}

// writeAll writes the rest of a frame: what has begun has to end.
func writeAll(w io.Writer, b []byte) error {
	for len(b) > 0 {
		n, err := w.Write(b)
		b = b[n:]
		if err != nil && !Passing(err) {
			return err
		}
		if err != nil {
			time.Sleep(writePause)
		}
	}
	return nil
}

func appendFrame(b []byte, kind byte, fds int, parts [][]byte) ([]byte, error) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if n > MaxBody || fds > MaxFDs {
		return b, fmt.Errorf("send frame: %d bytes with %d descriptors are too many", n, fds)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, kind, byte(fds))
	b = binary.BigEndian.AppendUint16(b, magic)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b, nil
}

// Limit bounds the bodies of the frames that Recv takes, in bytes. It is called
// before the first Recv, or between two.
func (c *Conn) Limit(n int) { c.most = min(n, MaxBody) }

// Recv returns the next frame. At the end of the stream it returns io.EOF, in
// the middle of a frame io.ErrUnexpectedEOF. After any error but ErrFDsLost and ErrQuiet it
// is not to be called again.
func (c *Conn) Recv() (Frame, error) {
	f, err := c.recv()
	if err != nil && err != ErrFDsLost && err != ErrQuiet {
		c.Drop()
	}
	return f, err
}

func (c *Conn) recv() (Frame, error) {
	for c.w-c.r < headerLen {
		if err := c.fill(headerLen); err != nil {
			return Frame{}, err
		}
	}
	h := c.buf[c.r : c.r+headerLen]
	n, kind, nfds := int(binary.BigEndian.Uint32(h)), h[4], int(h[5])
	if binary.BigEndian.Uint16(h[6:]) != magic || n > c.most || nfds > MaxFDs {
		return Frame{}, errHeader
	}
	begin := c.start
	for c.w-c.r < headerLen+n {
		if err := c.fill(headerLen + n); err != nil {
			return Frame{}, err
		}
	}
	f := Frame{Kind: kind, Body: c.buf[c.r+headerLen : c.r+headerLen+n]}
	c.r += headerLen + n
	c.start += int64(headerLen + n)
	err := c.claim(&f, begin, nfds)
	return f, err
}

// Buffered reports whether Recv returns a frame without waiting.
func (c *Conn) Buffered() bool {
	have := c.w - c.r
	return have >= headerLen && have >= headerLen+int(binary.BigEndian.Uint32(c.buf[c.r:]))
}

// claim gives f the descriptors that arrived with its first byte.
func (c *Conn) claim(f *Frame, begin int64, nfds int) error {
	var mine arrival
	if len(c.arrived) > 0 && c.arrived[0].from <= begin {
		mine = c.arrived[0]
		if mine.to <= begin {
			return errForeign // no frame has claimed it
		}
		if nfds == 0 {
			return nil // it is that of a frame behind f, with which it came
		}
		c.arrived = c.arrived[1:]
	}
	switch {
	case len(mine.fds) == nfds:
		f.FDs = mine.fds
		return nil
	case len(mine.fds) < nfds && mine.lost:
		closeAll(mine.fds)
		return ErrFDsLost
	}
	closeAll(mine.fds)
	return errForeign
}

// mostArrived is how many messages with descriptors are known at a time: that of the
// frame whose rest is awaited, and the next, with which one recvmsg ends.
const mostArrived = 2

// Drop closes the descriptors that have arrived with frames which Recv has not
// returned: where it is not to be called again. After an error of its own it has.
func (c *Conn) Drop() {
	for _, a := range c.arrived {
		closeAll(a.fds)
	}
	c.arrived = nil
}

// fill reads once, making room for a frame of need bytes first.
func (c *Conn) fill(need int) error {
	if c.room == nil {
		c.room = rooms.Get().(*room)
		c.buf = c.room.buf[:]
		c.resting.Store(false)
	}
	if c.r > 0 {
		copy(c.buf, c.buf[c.r:c.w])
		c.w -= c.r
		c.r = 0
	}
	if len(c.buf) > bufferKept && max(need, c.w) <= bufferSize {
		c.buf = append(make([]byte, 0, bufferSize), c.buf[:c.w]...)[:bufferSize]
	}
	if c.filled {
		need = max(need, bufferSize)
	}
	if need > len(c.buf) {
		c.buf = append(make([]byte, 0, need), c.buf[:c.w]...)[:need]
	}
	c.reads.Add(1)
	n, oobn, flags, _, err := c.uc.ReadMsgUnix(c.buf[c.w:], c.room.oob)
	n = max(n, 0) // it is -1 with most errors
	if oobn > 0 || flags&syscall.MSG_CTRUNC != 0 {
		fds := parseRights(c.room.oob[:oobn])
		c.arrived = append(c.arrived, arrival{c.end, c.end + int64(n), fds, flags&syscall.MSG_CTRUNC != 0})
	}
	c.w += n
	c.end += int64(n)
	c.filled = c.w == len(c.buf)
	switch {
	case len(c.arrived) > mostArrived:
		return errForeign
	case err != nil && !errors.Is(err, io.EOF):
		return c.interrupted(err)
	case n > 0:
		return nil
	case c.w > c.r:
		return io.ErrUnexpectedEOF
	default:
		return io.EOF
	}
}

// Discard reads on, and drops what comes, until the other end is closed: after
// an error of Recv.
func (c *Conn) Discard() {
	for err := error(nil); err == nil || err == ErrQuiet; {
		c.Drop()
		c.r, c.w = 0, 0
		err = c.fill(headerLen)
	}
}

func parseRights(oob []byte) (fds []int) {
	msgs, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range msgs {
		if got, err := syscall.ParseUnixRights(&m); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// CloseWrite tells the peer that no frame follows: its Recv returns io.EOF.
func (c *Conn) CloseWrite() error { return c.uc.CloseWrite() }

// CloseRead ends Recv, also one that is blocked, as if no frame followed; the
// other side's Send fails.
func (c *Conn) CloseRead() error { return c.uc.CloseRead() }

// Close closes this end; a blocked Send or Recv returns an error.
func (c *Conn) Close() error {
	c.later.End()
	return c.uc.Close()
}
