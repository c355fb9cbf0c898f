//go:build !amd64 && !arm64 && !race

package direct

import "syscall"

// Not every architecture has the two system calls by themselves.

func readNow(fd uintptr, p []byte) (int, error) {
	n, _, err := syscall.Recvfrom(int(fd), p, syscall.MSG_DONTWAIT)
	return max(n, 0), err
}

func writeNow(fd uintptr, p []byte) (int, error) {
	return syscall.SendmsgN(int(fd), p, nil, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}
