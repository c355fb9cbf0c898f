package proc

import (
	"os"
	"testing"
)

// open is how many descriptors this process has.
func open(t *testing.T) int {
	t.Helper()
	n, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A child that runs takes three descriptors: thousands are to fit.
func TestDescriptorsOfAChild(t *testing.T) {
	start(t, "deaf") // what is made once is there
	const children = 10
	before := open(t)
	for range children {
		start(t, "deaf")
	}
	if n := open(t) - before; n != 3*children {
		t.Errorf("%d descriptors for %d children", n, children)
	}
}
