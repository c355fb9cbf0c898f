// Package control never lets a client hold up the supervisor, nor a stranger
// speak to it: every connection has deadlines, and every request is refused
// unless its peer is root, in the group that may or, where there is none, of the daemon's own user; no handler's process is.
//
// It is HTTP over a Unix socket. The types that cross it are in package api:
//
//	GET  /v1/status   api.Status
//	POST /v1/reload   api.Reload, once everything is reconciled
//	GET  /v1/version  api.Version
//	POST /v1/restart  api.Outcome, name=NAME
//	POST /v1/enable   api.Outcome, name=NAME
//	POST /v1/disable  api.Outcome, name=NAME
//	GET  /v1/show     api.Shown, name=NAME
//	GET  /v1/metrics  api.Metrics
//	GET  /v1/events   api.Events, since=N, with wait once there are some
//
// Every other answer carries an api.Error.
package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxPath is what sockaddr_un leaves for a path and its NUL, see unix(7).
const maxPath = 107

// probeTimeout bounds the question whether somebody answers at a socket.
const probeTimeout = 2 * time.Second

// Listen returns a listener on a Unix socket at path, of mode 0660 and of
// group gid; a negative gid leaves the group alone, and so does one that only root
// may give it, and has yet to. A stale socket, one whose
// connections are refused, is replaced. One that answers is left alone and
// reported, and so is any file that is no socket. If only the last folder of
// path is missing it is made, of mode 0750 and the same group.
// Closing the listener removes the socket if it still is at path.
func Listen(path string, gid int) (net.Listener, error) {
	// The socket is bound under a name nobody waits for, and renamed once it
	// has its owner and listens.
	temp := filepath.Join(filepath.Dir(path), ".c"+strconv.Itoa(os.Getpid()))
	if max(len(path), len(temp)) > maxPath {
		return nil, fmt.Errorf("listen on %q: the path of a socket has at most %d bytes; choose a shorter one with --control", path, maxPath)
	}
	if err := makeParent(filepath.Dir(path), gid); err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, err)
	}
	if err := probe(path); err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, err)
	}
	if fi, err := os.Lstat(temp); err == nil && fi.Mode().Type() == fs.ModeSocket {
		os.Remove(temp) // of a daemon with our PID, killed while it was here
	}

	config := net.ListenConfig{Control: privateSocket}
	inner, err := config.Listen(context.Background(), "unix", temp)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", path, mendListen(err))
	}
	l := &listener{UnixListener: inner.(*net.UnixListener), path: path}
	l.SetUnlinkOnClose(false)
	if err := l.publish(temp, gid); err != nil {
		os.Remove(temp)
		l.UnixListener.Close()
		return nil, fmt.Errorf("listen on %q: %w", path, mendListen(err))
	}
	return l, nil
}

// privateSocket sets the mode of a socket that is yet to be bound: bind(2)
// gives it to the file, less the umask, so that not even temp is ever open to
// others.
func privateSocket(_, _ string, c syscall.RawConn) error {
	var err error
	cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(cerr, err)
}

// makeParent makes dir if its own parent exists.
func makeParent(dir string, gid int) error {
	switch err := os.Mkdir(dir, 0o750); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("folder %q does not exist; make it or choose another path with --control", filepath.Dir(dir))
	case err != nil:
		return mendListen(err)
	}
	if gid >= 0 {
		if err := giveGroup(dir, gid); err != nil {
			return mendListen(err)
		}
	}
	return os.Chmod(dir, 0o750) // whatever the umask
}

// giveGroup gives what is at path its group, if this process may. EINVAL says that the group is not of its user namespace.
func giveGroup(path string, gid int) error {
	if err := os.Chown(path, -1, gid); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// probe returns nil if path is free or holds a socket nobody answers on.
func probe(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return mendListen(err)
	case fi.Mode().Type() != fs.ModeSocket:
		return errors.New("the file there is no socket; remove it or choose another path with --control")
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	switch {
	case err == nil:
		conn.Close()
		return errors.New("another daemon answers there; stop it or choose another path with --control")
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil
	default:
		return fmt.Errorf("the socket there may be in use: %w; stop its owner or choose another path with --control", bare(err))
	}
}

// mendListen adds what to do to the errors an operator can do something about.
func mendListen(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; run as root or choose another path with --control", bare(err))
	}
	return bare(err)
}

// bare returns the system's error without the calls and paths around it.
func bare(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}

// listener is a Unix listener that was renamed to path after it was bound.
type listener struct {
	*net.UnixListener
	path  string
	file  os.FileInfo // what was put at path
	close sync.Once
}

// publish gives the socket at temp its owner and mode, then its name.
func (l *listener) publish(temp string, gid int) error {
	if gid >= 0 {
		if err := giveGroup(temp, gid); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o660); err != nil {
		return err
	}
	var err error
	if l.file, err = os.Lstat(temp); err != nil {
		return err
	}
	return os.Rename(temp, l.path)
}

// Addr returns the path clients know.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and removes the socket, unless another took its place.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.close.Do(func() {
		// Compared while the socket is open: until then nobody can reuse its inode.
		if fi, serr := os.Lstat(l.path); serr == nil && os.SameFile(fi, l.file) {
			os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}
