// Package joint makes what two processes need to hand connections to each other
// (handover).
package joint

import (
	"os"

	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/daemon/sealed"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
	"golang.org/x/sys/unix"
)

// New returns for each of the two an end of a socket, and the page of memory in which
// they count. They are the caller's.
func New() (one, other []*os.File, err error) {
	a, b, err := wire.Pair()
	if err != nil {
		return nil, nil, err
	}
	var pages [2]*os.File
	if pages[0], err = sealed.New("hand-over", handover.PageSize); err == nil {
		var fd int
		fd, err = unix.FcntlInt(pages[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
		pages[1] = os.NewFile(uintptr(fd), "page")
	}
	if err != nil {
		for _, f := range []*os.File{a, b, pages[0]} {
			f.Close() // of nil is an error, no more
		}
		return nil, nil, err
	}
	return []*os.File{a, pages[0]}, []*os.File{b, pages[1]}, nil
}
