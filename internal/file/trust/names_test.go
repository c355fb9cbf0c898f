package trust

import "testing"

func TestUnseen(t *testing.T) {
	const all, private = "         0          0 4294967295\n", "         0          0          1\n       990        990          1\n"
	for _, tt := range []struct {
		id    uint32
		idMap string
		want  bool
	}{
		{65534, private, true},
		{65534, all, false}, // nobody's own
		{65534, private + "65534 65534 1\n", false},
		{1000, private, false},
		{65534, "", false},
	} {
		if got := unseen(tt.id, 65534, tt.idMap); got != tt.want {
			t.Errorf("%d in %q: %v", tt.id, tt.idMap, got)
		}
	}
}
