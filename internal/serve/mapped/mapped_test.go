package mapped

import "testing"

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		line, perms, path string
		r                 Range
		ok                bool
	}{
		{"00400000-0061a000 r--p 00000000 fe:00 12 /usr/lib/plug server/cell\n", "r--p", "/usr/lib/plug server/cell", Range{0x400000, 0x61a000}, true},
		{"7f00-7f01 r-xp 0021a000 fe:00 12                    /x (deleted)", "r-xp", "/x", Range{0x7f00, 0x7f01}, true},
		{"7f00-7f01 rw-p 00000000 00:00 0", "rw-p", "", Range{0x7f00, 0x7f01}, true},
		{"nonsense", "", "", Range{}, false},
		{"", "", "", Range{}, false},
		{"x-y r--p", "r--p", "", Range{}, true},
	} {
		if r, perms, path, ok := Parse(tt.line); r != tt.r || perms != tt.perms || path != tt.path || ok != tt.ok {
			t.Errorf("%q: %x, %q, %q, %v", tt.line, r, perms, path, ok)
		}
	}
}
