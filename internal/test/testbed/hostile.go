package testbed

// Hostile is the source of a handler that tries what it is asked to, and tells what it got: "ok", or the error.
const Hostile = `package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{"/hostile/{what}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said, err := try(r.PathValue("what"), r.URL.Query()["a"])
		if errno := syscall.Errno(0); errors.As(err, &errno) {
			err = errno
		}
		if err != nil {
			said = err.Error()
		}
		io.WriteString(w, said)
	})}
}

func try(what string, a []string) (string, error) {
	switch what {
	case "sys": // a system call by its number
		var n [7]uintptr
		for i, s := range a {
			v, _ := strconv.ParseInt(s, 10, 64)
			n[i] = uintptr(v)
		}
		_, _, errno := syscall.Syscall6(n[0], n[1], n[2], n[3], n[4], n[5], n[6])
		if errno != 0 {
			return "", errno
		}
		return "ok", nil
	case "read":
		_, err := os.ReadFile(a[0])
		return "ok", err
	case "list":
		_, err := os.ReadDir(a[0])
		return "ok", err
	case "write":
		f, err := os.OpenFile(a[0], os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			f.Close()
		}
		return "ok", err
	case "remove":
		return "ok", os.Remove(a[0])
	case "chmod":
		return "ok", os.Chmod(a[0], 0)
	case "bind":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			l.Close()
		}
		return "ok", err
	case "dial":
		c, err := net.Dial("unix", a[0])
		if err == nil {
			c.Close()
		}
		return "ok", err
	case "control": // asks the daemon for its status
		c, err := net.Dial("unix", a[0])
		if err != nil {
			return "", err
		}
		defer c.Close()
		fmt.Fprint(c, "GET /v1/status HTTP/1.0\r\nHost: x\r\n\r\n")
		answer, err := io.ReadAll(c)
		status, _, _ := strings.Cut(string(answer), "\r\n")
		return status, err
	case "exec":
		out, err := exec.Command("/bin/sh", "-c", a[0]).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	case "temp": // a file of its own, and where
		f, err := os.CreateTemp("", "")
		if err != nil {
			return "", err
		}
		defer f.Close()
		if err := os.Mkdir(f.Name()+".d", 0o700); err != nil {
			return "", err
		}
		return filepath.Dir(f.Name()), os.Rename(f.Name(), f.Name()+".d/x")
	case "resolve":
		_, err := net.LookupHost("localhost")
		return "ok", err
	case "zone":
		_, err := time.LoadLocation("Europe/Berlin")
		return "ok", err
	case "roots":
		_, err := x509.SystemCertPool()
		return "ok", err
	case "user": // by the C library
		_, err := user.LookupId("0")
		return "ok", err
	case "interfaces":
		_, err := net.Interfaces()
		return "ok", err
	case "pair": // of sockets, in its own folder
		path := filepath.Join(os.TempDir(), "socket")
		l, err := net.Listen("unix", path)
		if err != nil {
			return "", err
		}
		defer l.Close()
		c, err := net.Dial("unix", path)
		if err != nil {
			return "", err
		}
		return "ok", c.Close()
	}
	return "", errors.New("unknown")
}

func main() {}
`
