package elfplug

import (
	"slices"
	"testing"
)

func TestCompatible(t *testing.T) {
	type m = map[string]string
	base := func() *Info {
		return &Info{GoVersion: "go1.26.8", Path: "x/p", PluginPath: "x/p", Settings: m{"GOAMD64": "v1"},
			PkgHashes: HashesOf(m{"runtime": "01", "strings": "02", "x/p": "03"})}
	}
	cell := func() *Info {
		return &Info{GoVersion: "go1.26.8", Path: "x/cell", Settings: m{"GOAMD64": "v1"},
			PkgHashes: HashesOf(m{"runtime": "01", "strings": "02", "main": "00", "net/http": "04"})}
	}
	const differ = "ff"
	const plain = "go build -buildmode=plugin -o NAME.so x/p"
	for _, c := range []struct {
		name         string
		change       func(p, c *Info)
		lacks        []string // of GOAMD64=v3
		reason, mend string   // exact; "" if it loads
	}{
		{name: "same", change: func(p, c *Info) {}},
		{name: "packages of its own", change: func(p, c *Info) { p.PkgHashes.set("github.com/x/y", differ) }},
		{name: "other flags, same packages", change: func(p, c *Info) { p.Settings["-gcflags"] = "-N -l"; p.Settings["-tags"] = "x" }},
		{name: "experiments in the version", change: func(p, c *Info) { p.GoVersion += " X:jsonv2" }},
		{name: "irrelevant settings", change: func(p, c *Info) { p.Settings["-ldflags"] = "-s -w"; p.Settings["CGO_CFLAGS"] = "-O0" }},
		{name: "another release",
			change: func(p, c *Info) { p.GoVersion = "go1.25.4"; p.PkgHashes.set("runtime", differ) },
			reason: "built by another Go release: have go1.25.4, want go1.26.8",
			mend:   "build it with: GOTOOLCHAIN=go1.26.8 " + plain},
		{name: "another release, same packages",
			change: func(p, c *Info) { p.GoVersion = "go1.26.7" },
			reason: "built by another Go release: have go1.26.7, want go1.26.8",
			mend:   "build it with: GOTOOLCHAIN=go1.26.8 " + plain},
		{name: "another release and other flags",
			change: func(p, c *Info) {
				p.GoVersion = "go1.25.4"
				c.Settings["-trimpath"] = "true"
				c.Settings["-gcflags"] = "all=-N -l"
				c.Settings["GOEXPERIMENT"] = "jsonv2"
				p.Settings["-race"] = "true"
			},
			reason: "built by another Go release: have go1.25.4, want go1.26.8",
			mend: "build it with: GOTOOLCHAIN=go1.26.8 GOEXPERIMENT=jsonv2 " +
				"go build -buildmode=plugin -race=false -trimpath -gcflags='all=-N -l' -o NAME.so x/p"},
		{name: "a development version",
			change: func(p, c *Info) { c.GoVersion = "devel go1.27-abc" },
			reason: "built by another Go release: have go1.26.8, want \"devel go1.27-abc\"",
			mend:   "build it with: " + plain},
		{name: "with -trimpath",
			change: func(p, c *Info) { p.Settings["-trimpath"] = "true"; p.PkgHashes.set("strings", differ) },
			reason: "built with other flags than its cell: have -trimpath, want no -trimpath",
			mend:   "build it with: go build -buildmode=plugin -trimpath=false -o NAME.so x/p"},
		{name: "without -trimpath",
			change: func(p, c *Info) { c.Settings["-trimpath"] = "true"; p.PkgHashes.set("strings", differ) },
			reason: "built with other flags than its cell: have no -trimpath, want -trimpath",
			mend:   "build it with: go build -buildmode=plugin -trimpath -o NAME.so x/p"},
		{name: "several",
			change: func(p, c *Info) {
				p.Settings["GOFIPS140"], p.Settings["GOEXPERIMENT"], p.Settings["-tags"], c.Settings["-tags"] = "v1.0.0", "jsonv2", "a", "a,b"
				p.Settings["-asmflags"] = "all=-x"
				p.PkgHashes.set("strings", differ)
			},
			reason: "built with other flags than its cell: have GOEXPERIMENT=jsonv2, want no GOEXPERIMENT; " +
				"have GOFIPS140=v1.0.0, want no GOFIPS140; have -asmflags=all=-x, want no -asmflags; have -tags=a, want -tags=a,b",
			mend: "build it with: GOEXPERIMENT='' GOFIPS140=off go build -buildmode=plugin -asmflags= -tags=a,b -o NAME.so x/p"},
		{name: "what the go command adds",
			change: func(p, c *Info) {
				p.Settings["-tags"] = "a"
				c.Settings["GOFIPS140"], c.Settings["-tags"] = "v1.0.0-c2097c7c", "a,fips140v1.0"
				p.PkgHashes.set("strings", differ)
			},
			reason: "built with other flags than its cell: have no GOFIPS140, want GOFIPS140=v1.0.0-c2097c7c",
			mend:   "build it with: GOFIPS140=v1.0.0-c2097c7c go build -buildmode=plugin -tags=a -o NAME.so x/p"},
		{name: "flags that do not matter beside one that does",
			change: func(p, c *Info) {
				p.Settings["-ldflags"], p.Settings["GOAMD64"] = "-s", "v3"
				p.Settings["-race"] = "true"
				p.PkgHashes.set("runtime", differ)
			},
			reason: "built with other flags than its cell: have -race, want no -race",
			mend:   "build it with: go build -buildmode=plugin -race=false -o NAME.so x/p"},
		{name: "built from files",
			change: func(p, c *Info) {
				p.Path, p.Settings["-race"] = "command-line-arguments", "true"
				p.PkgHashes.set("strings", differ)
			},
			reason: "built with other flags than its cell: have -race, want no -race",
			mend:   "build it with: go build -buildmode=plugin -race=false -o NAME.so ."},
		{name: "a path that is none",
			change: func(p, c *Info) {
				p.Path, p.Settings["-race"] = "x; rm -rf ~", "true"
				p.PkgHashes.set("strings", differ)
			},
			reason: "built with other flags than its cell: have -race, want no -race",
			mend:   "build it with: go build -buildmode=plugin -race=false -o NAME.so ."},
		{name: "patched standard library",
			change: func(p, c *Info) { p.PkgHashes.set("strings", differ); p.PkgHashes.set("runtime", differ) },
			reason: "built from other sources than its cell, though by the same Go release with the same flags: it differs in runtime, strings",
			mend:   "build it with the Go installation that built the cell (the other may be patched), or build the cell again: " + plain},
		{name: "the cell's own path",
			change: func(p, c *Info) { p.Path, p.PluginPath = "main", "main"; p.PkgHashes.set("main", differ) },
			reason: "its package path main is also a package of the cell",
			mend:   "give its module another name in go.mod, then build it with: go build -buildmode=plugin -o NAME.so"},
		{name: "beyond the processor", lacks: []string{"AVX2", "BMI1"},
			change: func(p, c *Info) { p.Settings["GOAMD64"] = "v3" },
			reason: "built with GOAMD64=v3, but this machine's processor lacks AVX2, BMI1",
			mend:   "build it with: GOAMD64=v2 " + plain},
		{name: "within the processor",
			change: func(p, c *Info) { p.Settings["GOAMD64"] = "v3" }},
		{name: "no such level", lacks: []string{"AVX2"},
			change: func(p, c *Info) { p.Settings["GOAMD64"] = "v99" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, cl := base(), cell()
			c.change(p, cl)
			r := compatible(p, cl, func(level string) []string {
				return lacks(level, func(f string) bool { return !slices.Contains(c.lacks, f) })
			})
			switch {
			case r == nil && c.reason != "":
				t.Fatal("loads")
			case r != nil && (r.Reason != c.reason || r.Mend != c.mend):
				t.Fatalf("got reason %q\n     mend %q\nwant reason %q\n     mend %q", r.Reason, r.Mend, c.reason, c.mend)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	type m = map[string]string
	p := &Info{GoVersion: "go1.26.8", Path: "x/p", PluginPath: "x/p", Settings: m{"-race": "true"},
		PkgHashes: HashesOf(m{"runtime": "01", "strings": "02", "x/p": "03"})}
	far := -1
	for i, c := range []*Info{
		{GoVersion: "go1.26.8", Settings: m{"-tags": "x"}, PkgHashes: HashesOf(m{"runtime": "01", "net": "0f", "x/p": "ff"})},
		{GoVersion: "go1.26.8", Settings: m{"-race": "true"}, PkgHashes: HashesOf(m{"runtime": "ff"})},
		{GoVersion: "go1.26.8", Settings: m{"-race": "true"}, PkgHashes: HashesOf(m{"runtime": "ff", "strings": "ff"})},
		{GoVersion: "go1.26.8", Settings: m{}, PkgHashes: HashesOf(m{"runtime": "ff"})},
		{GoVersion: "go1.26.8", Settings: m{"-trimpath": "true"}, PkgHashes: HashesOf(m{"runtime": "ff"})},
		{GoVersion: "go1.25.4", Settings: m{"-race": "true"}, PkgHashes: HashesOf(m{})},
	} {
		d := Distance(p, c)
		if d <= far || i == 0 && d != 0 {
			t.Errorf("%d: %d, the one before %d", i, d, far)
		}
		far = d
	}
}

// TestLevels: each feature can be detected, and each level adds its own.
func TestLevels(t *testing.T) {
	all := map[string]bool{}
	for _, l := range levels {
		for _, f := range l.features {
			if features[f] == nil {
				t.Errorf("%s: %s cannot be detected", l.name, f)
			}
			if all[f] {
				t.Errorf("%s: %s again", l.name, f)
			}
			all[f] = true
		}
	}
	if len(all) != len(features) {
		t.Errorf("%d features in levels, %d detected", len(all), len(features))
	}
	none := func(string) bool { return false }
	if got := lacks("v4", none); len(got) != len(all) {
		t.Errorf("v4 lacks %q", got)
	}
	if got := lacks("v1", none); got != nil {
		t.Errorf("v1 lacks %q", got)
	}
}
