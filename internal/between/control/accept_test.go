package control

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// failing is a listener whose Accept returns the errors before it works.
type failing struct {
	net.Listener
	mu     sync.Mutex // guards errors
	errors []error
}

func (l *failing) Accept() (net.Conn, error) {
	l.mu.Lock()
	if len(l.errors) > 0 {
		err := l.errors[0]
		l.errors = l.errors[1:]
		l.mu.Unlock()
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", err)}
	}
	l.mu.Unlock()
	return l.Listener.Accept()
}

// What passes does not end the server; what breaks the socket does.
func TestAcceptFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := Listen(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: l, errors: []error{
		syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ECONNABORTED, syscall.EPERM,
	}}
	start(t, f, &fake{}, defaultLimits)
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Error(err)
	}

	broken, err := Listen(filepath.Join(t.TempDir(), "c.sock"), -1)
	if err != nil {
		t.Fatal(err)
	}
	err = serve(t.Context(), &failing{Listener: broken, errors: []error{syscall.EINVAL}}, &fake{}, testVersion, nil, defaultLimits)
	if err == nil || err == http.ErrServerClosed {
		t.Errorf("a broken socket: %v", err)
	}
}
