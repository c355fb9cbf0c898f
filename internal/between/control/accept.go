package control

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// steady is a listener whose Accept outlives what accept(2) fails for without
// the socket being broken: out of descriptors or of memory, or the client gone
// already. net/http's server would end for most of that, and the daemon would
// run on with nobody to answer.
type steady struct {
	net.Listener
	done <-chan struct{} // ends a pause
}

// Accept implements net.Listener.
func (l steady) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		c, err := l.Listener.Accept()
		if err == nil || !passing(err) {
			return c, err
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-time.After(pause):
		case <-l.done:
			return nil, net.ErrClosed
		}
	}
}

// passing reports whether a later accept(2) may succeed.
func passing(err error) bool {
	for _, e := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
		syscall.ECONNABORTED, syscall.EPERM, syscall.EPROTO, syscall.EINTR,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
