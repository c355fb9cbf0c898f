package elfplug

import (
	"maps"
	"slices"
	"testing"
)

// set changes one of the fingerprints; "" takes it out.
func (h *Hashes) set(pkg, hash string) {
	all := maps.Collect(h.All())
	if all[pkg] = hash; hash == "" {
		delete(all, pkg)
	}
	*h = HashesOf(all)
}

func TestHashes(t *testing.T) {
	h := HashesOf(map[string]string{"strings": "02", "example.com/p": "03", "runtime": "01"})
	var pkgs []string
	for pkg, hash := range h.All() {
		if pkgs = append(pkgs, pkg); hash != h.Of(pkg) {
			t.Errorf("%s has %q and %q", pkg, hash, h.Of(pkg))
		}
	}
	if want := []string{"example.com/p", "runtime", "strings"}; !slices.Equal(pkgs, want) || h.Len() != len(want) || h.Of("strings") != "02" {
		t.Errorf("got %q, want %q", pkgs, want)
	}
	for _, none := range []string{"", "a", "example.com/p/q", "zz"} {
		if hash := h.Of(none); hash != "" || (Hashes{}).Of(none) != "" {
			t.Errorf("%q has %q", none, hash)
		}
	}
}
