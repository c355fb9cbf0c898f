package joint

import (
	"testing"

	"github.com/andrestc/go-plugserver/internal/serve/handover"
	"golang.org/x/sys/unix"
)

// What one writes into the page the other reads, and what is written to one end comes
// out of the other.
func TestNew(t *testing.T) {
	one, other, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(one, other...) {
		defer f.Close()
	}
	for i := range 2 {
		if i == 1 {
			one[1].Seek(0, 0)
		}
		if _, err := one[i].WriteString("x"); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if i == 1 {
			_, err = other[i].ReadAt(b, 0)
		} else {
			_, err = other[i].Read(b)
		}
		if err != nil || b[0] != 'x' {
			t.Errorf("file %d: %q, %v", i, b, err)
		}
	}
}

// Neither side can take the page from under the other.
func TestPageKeepsItsSize(t *testing.T) {
	one, other, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(one, other...) {
		defer f.Close()
	}
	for _, size := range []int64{0, handover.PageSize / 2, 2 * handover.PageSize} {
		if other[1].Truncate(size) == nil {
			t.Errorf("it is %d bytes now", size)
		}
	}
	if _, err := unix.FcntlInt(other[1].Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err == nil {
		t.Error("it can be sealed against the other's writes")
	}
}
