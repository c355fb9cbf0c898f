package elfplug

import (
	"slices"
	"strings"
)

// The kinds of a Mismatch.
const (
	MismatchRelease = "release"
	MismatchFlag    = "flag"    // or environment variable, of those that matter
	MismatchPackage = "package" // Have and Want are fingerprints, in hex
	MismatchModule  = "module"  // of such a package; Have and Want are versions
)

// Mismatch is one thing for which a cell does not load a plugin.
type Mismatch struct {
	Kind string
	Name string // the flag's, the package's or the module's; "" for a release
	Have string // the plugin's; "" is unset
	Want string // the cell's
}

// Mismatches are what the refusal of loading plugin p in cell c sums up: the
// release first, then flags, packages and modules. There are none where the
// cell loads the plugin, or only this machine's processor is in the way.
func Mismatches(p, c *Info) []Mismatch {
	var list []Mismatch
	if have, want := Release(p.GoVersion), Release(c.GoVersion); have != want {
		list = append(list, Mismatch{MismatchRelease, "", have, want})
	}
	var packages []Mismatch
	for pkg, have := range p.PkgHashes.All() {
		if want := c.PkgHashes.Of(pkg); want != "" && have != want {
			packages = append(packages, Mismatch{MismatchPackage, pkg, have, want})
		}
	}
	if len(list)+len(packages) == 0 {
		return nil // whatever the flags
	}
	for _, f := range differences(p, c) {
		list = append(list, Mismatch{MismatchFlag, f.Name, f.Have, f.Want})
	}
	list = append(list, packages...)

	versions := make(map[string]string)
	for _, m := range c.Modules {
		versions[m.Path] = m.Version
	}
	for _, m := range p.Modules {
		want, ok := versions[m.Path]
		if ok && want != m.Version && slices.ContainsFunc(packages, func(d Mismatch) bool {
			return d.Name == m.Path || strings.HasPrefix(d.Name, m.Path+"/")
		}) {
			list = append(list, Mismatch{MismatchModule, m.Path, m.Version, want})
		}
	}
	return list
}
