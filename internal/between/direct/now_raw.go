//go:build (amd64 || arm64) && !race

package direct

import (
	"syscall"
	"unsafe"
)

func readNow(fd uintptr, p []byte) (int, error) {
	return now(syscall.SYS_RECVFROM, fd, p, syscall.MSG_DONTWAIT)
}

func writeNow(fd uintptr, p []byte) (int, error) {
	return now(syscall.SYS_SENDTO, fd, p, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func now(call, fd uintptr, p []byte, flags uintptr) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
