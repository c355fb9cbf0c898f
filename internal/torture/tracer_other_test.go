//go:build !amd64

package torture

import (
	"errors"

	"golang.org/x/sys/unix"
)

// fallible is empty: no call is counted, and none fails.
var fallible = map[uint64]fallibleCall{}

func skipCall(int) error { return errors.ErrUnsupported }

func setResult(int, unix.Errno) {}
