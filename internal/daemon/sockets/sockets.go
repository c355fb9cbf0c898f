// Package sockets opens the sockets that the flags name.
package sockets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/daemon/certs"
)

// Listen opens the addresses and returns the sockets as files, with the names
// that they got: port 0 becomes a real one.
func Listen(addresses []string) (files []*os.File, names []string, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
		}
	}()
	for _, a := range addresses {
		l, err := One(a)
		if err != nil {
			return files, nil, err
		}
		f, err := l.(interface{ File() (*os.File, error) }).File()
		name := l.Addr().String()
		if ul, ok := l.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
			name = "unix:" + name
		}
		name = marks(a) + name
		l.Close()
		if err != nil {
			return files, nil, fmt.Errorf("listen on %q: %w", a, err)
		}
		files = append(files, f)
		names = append(names, name)
	}
	return files, names, nil
}

// marks are the words in front of an address that say what is spoken there.
func marks(a string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(a, certs.Prefix), certs.Proxied)
	return a[:len(a)-len(rest)]
}

// One opens one of them.
func One(a string) (net.Listener, error) {
	a = strings.TrimPrefix(a, marks(a))
	path, isUnix := strings.CutPrefix(a, "unix:")
	if !isUnix {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false) // as systemd's sockets: --write-timeout could not hold
		l, err := lc.Listen(context.Background(), "tcp", a)
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w; end what listens there, or choose another address with --listen", err)
		}
		return l, err
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && stale(path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	return l, err
}

// stale reports whether path is a socket on which nobody listens any more.
func stale(path string) bool {
	st, err := os.Lstat(path)
	if err != nil || st.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		c.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
