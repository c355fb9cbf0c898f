//go:build !race

package direct

import (
	"syscall"
	"testing"
)

// Another process that has the descriptor, too, may put it into blocking mode.
func TestNowInBlockingMode(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	var p [1 << 16]byte
	if n, err := ReadNow(uintptr(fds[0]), p[:]); n != 0 || err != syscall.EAGAIN {
		t.Errorf("%d bytes of an empty socket, %v", n, err)
	}
	for err = nil; err == nil; {
		_, err = WriteNow(uintptr(fds[0]), p[:])
	}
	if err != syscall.EAGAIN {
		t.Errorf("a full socket: %v", err)
	}
}
