// Package sd speaks with systemd: it takes the sockets that the .socket unit
// holds, notifies the service manager, and writes the journal; and it reads
// files of systemd's syntax. It alone imports go-systemd. Without systemd every
// part of it is a no-op, and nothing here ever makes the supervisor wait for
// systemd without a bound.
package sd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Listeners returns the sockets that systemd passed (sd_listen_fds(3)), in the
// unit's order, with their addresses ("[::]:8080", "unix:/run/x",
// "unix:@abstract"). A file's name is its FileDescriptorName=; one that is called
// https is for TLS, and its address begins with "tls:"; one for proxies that speak the PROXY
// protocol is called http-proxy or https-proxy, and has "proxy:" there. Without
// activation all is nil. LISTEN_* are gone from the environment afterwards, so
// call it once, before any child starts; the files are close-on-exec.
//
// The caller owns the files. What cannot be served (a datagram socket, a FIFO,
// a connection, a family unknown to package net) is an error, and all files
// are closed then: half of a unit's sockets would be served otherwise.
func Listeners() (files []*os.File, addresses []string, err error) {
	files = activation.Files(true)
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "LISTEN_") {
			os.Unsetenv(name) // LISTEN_PIDFDID and what else may come
		}
	}
	for _, f := range files {
		a, err := listening(f)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, nil, fmt.Errorf("take socket %q from systemd: %w", f.Name(), err)
		}
		switch f.Name() {
		case "https":
			a = "tls:" + a
		case "http-proxy":
			a = "proxy:" + a
		case "https-proxy":
			a = "tls:proxy:" + a
		}
		addresses = append(addresses, a)
	}
	return files, addresses, nil
}

// listening returns the address at which f listens.
func listening(f *os.File) (string, error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return "", err
	}
	var kind, accepts, family int
	var optErr error
	err = rc.Control(func(fd uintptr) { // not Fd: it would make f blocking
		for opt, to := range map[int]*int{unix.SO_TYPE: &kind, unix.SO_ACCEPTCONN: &accepts, unix.SO_DOMAIN: &family} {
			if *to, optErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, opt); optErr != nil {
				return
			}
		}
	})
	switch err = errors.Join(err, optErr); {
	case errors.Is(err, unix.ENOTSOCK):
		return "", errors.New("it is no socket; use ListenStream= in the .socket unit")
	case err != nil:
		return "", err
	case kind == unix.SOCK_DGRAM:
		return "", errors.New("it is a datagram socket; use ListenStream= in the .socket unit")
	case kind != unix.SOCK_STREAM:
		return "", fmt.Errorf("it is a socket of type %d, not a stream; use ListenStream= in the .socket unit", kind)
	case family != unix.AF_INET && family != unix.AF_INET6 && family != unix.AF_UNIX:
		return "", fmt.Errorf("address family %d is not served; use an IPv4, IPv6 or Unix address", family)
	case accepts == 0:
		return "", errors.New("it does not listen; use Accept=no in the .socket unit")
	}
	l, err := net.FileListener(f) // a duplicate
	if err != nil {
		return "", err
	}
	defer l.Close()
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String(), nil
	}
	return l.Addr().String(), nil
}
