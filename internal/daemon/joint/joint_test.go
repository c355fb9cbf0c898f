package joint

import (
	"testing"
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
