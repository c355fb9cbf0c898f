package elfplug

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// Agree returns nil if plugins a and b may share a process, and else why not.
// The runtime shares a package that both link, its variables too, if only its
// fingerprint is the same in both: that covers what importers see of it, and
// not what it does. So every shared package beyond the standard library has to
// come from the same version of its module, by its sum, or else from one clean
// commit.
func Agree(a, b *Info) error {
	switch {
	case a.GoVersion != b.GoVersion:
		return fmt.Errorf("built by %s and %s", a.GoVersion, b.GoVersion)
	case a.PluginPath == b.PluginPath:
		return fmt.Errorf("both have the package path %s", a.mainPackage())
	}
	for _, name := range decisive {
		if x, y := a.setting(name), b.setting(name); x != y {
			return fmt.Errorf("built with different %s: %q and %q", name, x, y)
		}
	}
	if x, y := a.Settings[defaultGODEBUG], b.Settings[defaultGODEBUG]; x != y {
		return fmt.Errorf("built with different GODEBUG settings: %q and %q", x, y)
	}
	for pkg, own := range a.PkgHashes.All() {
		hash := b.PkgHashes.Of(pkg)
		if hash == "" {
			continue
		}
		if hash != own {
			return fmt.Errorf("package %s differs", pkg)
		}
		x, y := a.moduleOf(pkg), b.moduleOf(pkg)
		if x == nil && y == nil && !strings.Contains(strings.SplitN(pkg, "/", 2)[0], ".") {
			continue // the standard library's
		}
		if err := sameModule(pkg, a, b, x, y); err != nil {
			return err
		}
	}
	return nil
}

func sameModule(pkg string, a, b *Info, x, y *debug.Module) error {
	if x == nil || y == nil {
		return fmt.Errorf("package %s is of no known module", pkg)
	}
	x, y = effective(x), effective(y)
	if x.Path != y.Path || x.Version != y.Version {
		return fmt.Errorf("package %s is of %s %s and of %s %s", pkg, x.Path, x.Version, y.Path, y.Version)
	}
	if x.Sum != "" || y.Sum != "" {
		if x.Sum != y.Sum {
			return fmt.Errorf("package %s is of %s %s with different sums", pkg, x.Path, x.Version)
		}
		return nil
	}
	rev := a.Settings["vcs.revision"]
	if rev == "" || rev != b.Settings["vcs.revision"] || a.Settings["vcs.modified"] != "false" || b.Settings["vcs.modified"] != "false" {
		return fmt.Errorf("package %s is of %s, which has no version, and not of one clean commit", pkg, x.Path)
	}
	return nil
}

// effective is the module that was built: the replacement, where there is one.
func effective(m *debug.Module) *debug.Module {
	if m.Replace != nil {
		return m.Replace
	}
	return m
}

// moduleOf returns the module that a package is of, nil if none of p's.
func (p *Info) moduleOf(pkg string) *debug.Module {
	var best *debug.Module
	for i := range p.Modules {
		m := &p.Modules[i]
		if (pkg == m.Path || strings.HasPrefix(pkg, m.Path+"/")) && (best == nil || len(m.Path) > len(best.Path)) {
			best = m
		}
	}
	return best
}
