package elfplug

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"unique"
)

// Hashes are the fingerprints of packages, in hex, by import path. A thousand plugins have most of
// theirs in common, and all are kept: what two have is in memory once.
type Hashes struct {
	sorted []unique.Handle[fingerprint] // by package
}

type fingerprint struct{ pkg, hash string }

// HashesOf returns those of a map, none of which is empty.
func HashesOf(byPkg map[string]string) Hashes {
	h := Hashes{make([]unique.Handle[fingerprint], 0, len(byPkg))}
	for _, pkg := range slices.Sorted(maps.Keys(byPkg)) {
		h.sorted = append(h.sorted, unique.Make(fingerprint{pkg, byPkg[pkg]}))
	}
	return h
}

// Len is how many packages there are.
func (h Hashes) Len() int { return len(h.sorted) }

// Of returns the fingerprint of a package, "" where there is no such package.
func (h Hashes) Of(pkg string) string {
	i, ok := slices.BinarySearchFunc(h.sorted, pkg, func(f unique.Handle[fingerprint], pkg string) int {
		return strings.Compare(f.Value().pkg, pkg)
	})
	if !ok {
		return ""
	}
	return h.sorted[i].Value().hash
}

// All yields each package, in their order, and its fingerprint.
func (h Hashes) All() iter.Seq2[string, string] {
	return func(yield func(pkg, hash string) bool) {
		for _, f := range h.sorted {
			if v := f.Value(); !yield(v.pkg, v.hash) {
				return
			}
		}
	}
}
