package elfplug

import (
	"runtime/debug"
	"slices"
	"testing"
)

func TestMismatches(t *testing.T) {
	type m = map[string]string
	for _, tt := range []struct {
		name   string
		change func(p, c *Info)
		want   []Mismatch
	}{
		{"none", func(p, c *Info) {}, nil},
		{"flags that do not matter", func(p, c *Info) { p.Settings["-tags"] = "x" }, nil},
		{"a version that does not matter", func(p, c *Info) { c.Modules[0].Version = "v1.1.0" }, nil},
		{"packages of one alone", func(p, c *Info) { p.PkgHashes.set("y", "09"); c.PkgHashes.set("net/http", "08") }, nil},
		{"processor", func(p, c *Info) { p.Settings["GOAMD64"] = "v4" }, nil},
		{"release alone", func(p, c *Info) { p.GoVersion = "go1.26.7 X:jsonv2" }, []Mismatch{{MismatchRelease, "", "go1.26.7", "go1.26.8"}}},
		{"all",
			func(p, c *Info) {
				p.GoVersion, p.Settings["-trimpath"], c.Settings["-tags"] = "go1.25.4", "true", "netgo"
				p.PkgHashes.set("strings", "f2")
				p.PkgHashes.set("runtime", "f1")
				p.PkgHashes.set("example.com/lib/sub", "f3")
				p.Modules[0].Version = "v1.1.0"
			},
			[]Mismatch{
				{MismatchRelease, "", "go1.25.4", "go1.26.8"},
				{MismatchFlag, "-trimpath", "true", ""}, {MismatchFlag, "-tags", "", "netgo"},
				{MismatchPackage, "example.com/lib/sub", "f3", "03"}, {MismatchPackage, "runtime", "f1", "01"}, {MismatchPackage, "strings", "f2", "02"},
				{MismatchModule, "example.com/lib", "v1.1.0", "v1.0.0"},
			}},
		{"module of a neighbouring name",
			func(p, c *Info) {
				p.PkgHashes.set("example.com/library", "f4")
				c.PkgHashes.set("example.com/library", "04")
				p.Modules[0].Version = "v1.1.0"
			},
			[]Mismatch{{MismatchPackage, "example.com/library", "f4", "04"}}},
	} {
		p, c := new(Info), new(Info)
		for _, i := range []*Info{p, c} {
			*i = Info{GoVersion: "go1.26.8", Settings: m{}, PkgHashes: HashesOf(m{"runtime": "01", "strings": "02", "example.com/lib/sub": "03"}),
				Modules: []debug.Module{{Path: "example.com/lib", Version: "v1.0.0"}}}
		}
		tt.change(p, c)
		if got := Mismatches(p, c); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
		if refused := compatible(p, c, func(string) []string { return nil }); (refused != nil) != (tt.want != nil) {
			t.Errorf("%s: refused: %v", tt.name, refused)
		}
	}
}
