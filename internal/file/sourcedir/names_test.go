package sourcedir

import "testing"

// What editors and version control leave in a folder is no part of its package. What
// could be embedded is.
func TestIgnored(t *testing.T) {
	for _, tt := range []struct {
		name      string
		file, dir bool // whether it is ignored as a file, as a folder
	}{
		{"main.go", false, false},
		{".env", false, false},
		{"main.go~", true, false},
		{"#main.go#", true, false},
		{".#main.go", true, false},
		{".main.go.swp", true, false},
		{"4913", true, false},
		{".goutputstream-X1", true, false},
		{".nfs0001", true, false},
		{".swp", false, false},
		{".git", true, true},
		{".hg", true, true},
		{"git", false, false},
	} {
		if got := Ignored(tt.name, false); got != tt.file {
			t.Errorf("file %q: %v", tt.name, got)
		}
		if got := Ignored(tt.name, true); got != tt.dir {
			t.Errorf("folder %q: %v", tt.name, got)
		}
	}
}
