package catalogue

import (
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// Whoever builds, a source is built for the same cell.
func TestBuildFor(t *testing.T) {
	cell := func(name, version string, origin Origin, age time.Duration) Binary {
		return Binary{Name: name, Origin: origin, Info: &elfplug.Info{GoVersion: version}, Modified: time.Unix(1e9, 0).Add(-age)}
	}
	all := []Binary{
		{Name: "foreign", Origin: Packaged, Ignored: &refusal.Error{}},
		cell("packaged", "go1.26.1", Packaged, time.Hour),
		cell("old", "go1.25.3", Own, time.Hour),
		cell("new", "go1.25.3", Own, time.Minute),
		cell("other", "go1.24.0", Shared, time.Second),
	}
	c := New(Config{})
	for _, tt := range []struct {
		name     string
		cells    []Binary
		releases []string
		canBuild bool // can be built
		want     string
	}{
		{"the installed one", all, []string{"go1.25.3", "go1.26.1"}, false, "packaged"},
		{"the installed one, whatever could be built", all, []string{"go1.25.3", "go1.26.1"}, true, "packaged"},
		{"the newest of those there is a toolchain for", all, []string{"go1.25.3"}, false, "new"},
		{"rather than one that would have to be built", all, []string{"go1.25.3"}, true, "new"},
		{"no toolchain of any", all, []string{"go1.23.0"}, false, "packaged"},
		{"no toolchain of any, and one can be built", all, []string{"go1.23.0"}, true, ""},
		{"no toolchain at all", all, nil, true, "packaged"},
		{"no cell", nil, []string{"go1.26.1"}, false, ""},
	} {
		got, ok := c.buildFor(tt.cells, tt.releases, tt.canBuild)
		if got.Name != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v, want %q", tt.name, got.Name, ok, tt.want)
		}
	}
}
