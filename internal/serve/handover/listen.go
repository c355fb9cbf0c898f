package handover

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// Listener is a listening stream socket.
type Listener struct {
	file   *os.File
	raw    syscall.RawConn
	addr   net.Addr
	text   string // addr's
	any    bool   // each connection has a local address of its own
	closed atomic.Bool
	owed   owed // Accept's
	limit  int  // see patient; in milliseconds
	limits bool // what is accepted from now on has it by itself
	// Secure, if set, is given each connection's descriptor, in non-blocking mode, in
	// the place of the Server. It does not wait. It is set before Accept.
	Secure func(fd int, remote, local net.Addr)
	// Proxied says that proxies connect, which say whose each connection is by the PROXY
	// protocol, before all else. It is set before Accept.
	Proxied bool
}

// Listen returns a Listener on f's socket, and closes f. It sets for the socket,
// and thereby for every connection (tcp(7), socket(7)), what package net sets for
// each.
func Listen(f *os.File) (*Listener, error) {
	defer f.Close()
	nl, err := net.FileListener(f) // to ask for its address
	if err != nil {
		return nil, err
	}
	if ul, ok := nl.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false) // the supervisor's, or systemd's
	}
	l := &Listener{addr: nl.Addr()}
	l.text = l.addr.String()
	if a, ok := l.addr.(*net.TCPAddr); ok {
		l.any = a.IP.IsUnspecified()
	}
	nl.Close()
	if err := l.open(f); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Listener) open(f *os.File) error {
	fd, err := wire.Dup(f)
	if err != nil {
		return err
	}
	if err := l.set(fd); err != nil {
		syscall.Close(fd)
		return err
	}
	l.file = os.NewFile(uintptr(fd), l.text)
	l.raw, err = l.file.SyscallConn()
	return err
}

// keepAlive is package net's default, in seconds, and so are the probes.
const keepAlive, keepAliveProbes = 15, 9

func (l *Listener) set(fd int) error {
	if err := syscall.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if l.addr.Network() != "tcp" {
		return nil
	}
	for _, o := range [...][3]int{
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, keepAlive},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, keepAlive},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAliveProbes},
	} {
		if err := syscall.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// userTimeout is TCP_USER_TIMEOUT (tcp(7)), in milliseconds.
const userTimeout = 18

// patient has the kernel end each connection whose client takes nothing of what it is
// sent for so long, wherever the connection is then and whoever writes to it; 0 is
// without end. A Unix socket's clients are of this machine, and have no such limit; nor
// does multipath TCP have the option.
func (l *Listener) patient(limit time.Duration) error {
	if l.addr.Network() != "tcp" {
		return nil
	}
	l.limit = int(min((limit+time.Millisecond-1)/time.Millisecond, 1<<31-1))
	var err error
	if e := l.raw.Control(func(fd uintptr) { err = l.limitOf(int(fd)) }); e != nil {
		return e
	}
	if err == syscall.ENOPROTOOPT || err == syscall.EOPNOTSUPP {
		return nil
	}
	return os.NewSyscallError("setsockopt", err)
}

func (l *Listener) limitOf(fd int) error {
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, userTimeout, l.limit)
}

// Addr returns the address that l listens on.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close ends Accept. The socket is the last process's that has it.
func (l *Listener) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}

// Accept takes connections from l until it is closed, and then returns
// net.ErrClosed. The listener stays the caller's.
func (s *Server) Accept(l *Listener) error {
	if err := l.patient(s.limits.WriteTimeout); err != nil && !l.closed.Load() {
		return err
	}
	s.awaitTold()
	var pause time.Duration
	for {
		s.awaitRoom(l)
		n, err := s.acceptSome(l)
		if l.closed.Load() {
			return net.ErrClosed
		}
		if n > 0 {
			pause = 0
		}
		if err == nil {
			runtime.Gosched() // who reads the answers has as much to do
			continue
		}
		// Out of descriptors or memory: the backlog holds the clients
		// while connections end.
		s.http.ErrorLog.Printf("accept: %v", err)
		s.measure()
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-s.feed.done:
			return net.ErrClosed
		}
	}
}

// acceptBatch bounds how many connections are taken before others have their
// turn.
const acceptBatch = 32

// acceptSome waits for a connection, and takes as many as there are.
func (s *Server) acceptSome(l *Listener) (n int, err error) {
	waitErr := l.raw.Read(func(fd uintptr) bool {
		defer l.owed.deliver()
		if s.limits.MaxConns > 0 {
			s.admits.Lock()
			defer s.admits.Unlock()
		}
		most := int(min(s.vacant(), acceptBatch))
		for n < most && !s.tooMany() {
			nfd, sa, e := syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			switch e {
			case nil:
				n++
				if !l.limits { // it may have come before the listener had
					l.limitOf(nfd)
				}
				s.accepted(l, nfd, sa)
			case syscall.EINTR, syscall.ECONNABORTED:
			case syscall.EAGAIN:
				l.limits = true
				return false
			default:
				err = os.NewSyscallError("accept4", e)
				return true
			}
		}
		return true
	})
	if err == nil {
		err = waitErr
	}
	return n, err
}

// accepted begins with a connection.
func (s *Server) accepted(l *Listener, fd int, sa syscall.Sockaddr) {
	k := &socket{fd: fd, remote: addrFrom(sa), local: l.addr}
	text := l.text
	if l.any {
		if sa, err := syscall.Getsockname(fd); err == nil {
			k.local = addrFrom(sa)
			text = k.local.String()
		}
	}
	if l.Proxied {
		s.Counts.Accepted.Add(1)
		s.Beside(1)
		s.Aside(1)
		s.numbered(fd)
		go s.introduced(l, k)
		return
	}
	if l.Secure != nil {
		l.Secure(fd, k.remote, k.local)
		s.numbered(fd)
		return
	}
	c := s.newConn(k, k.remote, k.local)
	c.localAddr, c.unasked = text, true
	s.own(c)
	s.Counts.Accepted.Add(1)
	s.numbered(fd)
	if s.RouteNow == nil || !c.atOnce(k, &l.owed) {
		go s.serve(c)
	}
}

// atOnce forwards the first request where that has come with the connection and is
// its last: the answer sees to the rest. It waits for nothing: others are in the
// queue. Where it reports false, a goroutine has to serve c.
func (c *Conn) atOnce(k *socket, o *owed) bool {
	c.buf = buffers.Get().(*[bufferSize]byte)[:]
	n, err := k.tryRead(c.buf)
	if err != nil {
		return false
	}
	c.w = n
	if c.scan.Scan(c.pending()) != http1.Whole || !c.scan.Plain || c.scan.Len() != c.w || c.scan.Len() > c.server.maxHead() {
		return false
	}
	return c.forwardAtOnce(o)
}

// buffers are for connections that end with their first answer.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// recycle gives up the buffer of a connection that nobody uses any more.
func (c *Conn) recycle() {
	if len(c.buf) == bufferSize {
		buffers.Put((*[bufferSize]byte)(c.buf))
	}
	c.buf = nil
}

// addrFrom returns a socket's address as package net does.
func addrFrom(sa syscall.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *syscall.SockaddrInet6:
		a := &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
		if sa.ZoneId != 0 {
			a.Zone = strconv.FormatUint(uint64(sa.ZoneId), 10)
			if i, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
				a.Zone = i.Name
			}
		}
		return a
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: sa.Name, Net: "unix"}
	}
	return nil
}
