package scaffold

import "testing"

func TestGoLine(t *testing.T) {
	for in, want := range map[string]string{
		"go1.26.8": "1.26.8", "go1.26.8-X:jsonv2": "1.26.8", "go1.25.4 X:jsonv2": "1.25.4", "go1.26.8-bigcorp": "1.26.8",
		"go1.27rc1": "1.27rc1", "devel go1.28-abc": "1.26", "": "1.26",
	} {
		if got := GoLine(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
