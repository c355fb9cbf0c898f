package elfplug

import (
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"golang.org/x/sys/cpu"
)

// decisive are the settings that can change what the standard library's
// packages look like to an importer, in the order of a command line. What
// changes only the machine code (GOAMD64, -ldflags) or C code (CGO_CFLAGS) is
// not among them.
var decisive = []string{
	"GOEXPERIMENT", "GOFIPS140",
	"-race", "-msan", "-asan", "-cover", "-trimpath", "-gcflags", "-asmflags", "-tags", "-pgo",
}

// Compatible returns nil or the refusal of loading plugin p in cell c on this
// machine.
//
// The runtime loads a plugin if each package that both link has the same
// fingerprint in both, whatever the flags. A plugin of another release is
// refused even then: fingerprints cover what importers see of a package, not
// how compiler and runtime agree, and the runtime may end the process.
func Compatible(p, c *Info) *refusal.Error {
	return compatible(p, c, func(level string) []string { return lacks(level, hasFeature) })
}

func compatible(p, c *Info, lacks func(level string) []string) *refusal.Error {
	if Release(p.GoVersion) != Release(c.GoVersion) {
		return badfile.OtherRelease(Release(p.GoVersion), Release(c.GoVersion), matching(p, c).String())
	}
	differ := differing(p, c)
	switch flags := differences(p, c); {
	case slices.Equal(differ, []string{p.mainPackage()}):
		return badfile.PathTaken(differ[0])
	case len(differ) > 0 && len(flags) > 0:
		return badfile.OtherFlags(tell(flags), matching(p, c).String())
	case len(differ) > 0:
		return badfile.OtherPackages(differ, matching(p, c).String())
	}
	level := p.Settings["GOAMD64"]
	if missing := lacks(level); len(missing) > 0 {
		b := matching(p, c)
		b.Env = append(b.Env, Setting{Name: "GOAMD64", Value: best(lacks)})
		return badfile.BeyondCPU(level, missing, b.String())
	}
	return nil
}

// differing are the packages that both link and that are not the same, sorted.
func differing(p, c *Info) (pkgs []string) {
	for pkg, hash := range p.PkgHashes.All() {
		if want := c.PkgHashes.Of(pkg); want != "" && hash != want {
			pkgs = append(pkgs, pkg)
		}
	}
	return pkgs
}

// Distance tells how far cell c's build is from one that loads plugin p: the
// release weighs more than any flags, and these more than any packages. It is
// 0 where no other cell would do better.
func Distance(p, c *Info) int {
	own := p.mainPackage()
	d := len(slices.DeleteFunc(differing(p, c), func(pkg string) bool { return pkg == own }))
	if Release(p.GoVersion) != Release(c.GoVersion) {
		d += 1 << 24
	}
	if d > 0 {
		d += len(differences(p, c)) << 16
	}
	return d
}

// mainPackage is the import path that PluginPath stands for.
func (p *Info) mainPackage() string {
	for pkg := range p.PkgHashes.All() {
		if escape(pkg) == p.PluginPath {
			return pkg
		}
	}
	return ""
}

// Decisive are the settings that a cell has to have in common with p, those
// that p has.
func (p *Info) Decisive() []Setting {
	var s []Setting
	for _, name := range decisive {
		if v := p.setting(name); v != "" {
			s = append(s, Setting{Name: name, Value: v})
		}
	}
	return s
}

// setting is a setting as its owner wrote it: GOFIPS140 makes the go command
// add a tag of its own.
func (p *Info) setting(name string) string {
	if name != "-tags" {
		return p.Settings[name]
	}
	tags := slices.DeleteFunc(strings.Split(p.Settings[name], ","), func(t string) bool { return strings.HasPrefix(t, "fips140v") })
	return strings.Join(tags, ",")
}

// differences are the decisive settings in which the plugin and the cell differ.
func differences(p, c *Info) []Flag {
	var flags []Flag
	for _, name := range decisive {
		if have, want := p.setting(name), c.setting(name); have != want {
			flags = append(flags, Flag{Name: name, Have: have, Want: want})
		}
	}
	return flags
}

// matching is the build of the plugin's package with the cell's release and
// settings. What only the plugin has is taken back in words: it may come out
// of its owner's GOFLAGS or environment.
func matching(p, c *Info) Build {
	b := Build{Package: p.Path}
	if p.Path == "command-line-arguments" {
		b.Package = "."
	}
	if want := Release(c.GoVersion); want != Release(p.GoVersion) && strings.HasPrefix(want, "go1.") {
		b.Env = append(b.Env, Setting{Name: "GOTOOLCHAIN", Value: want})
	}
	for _, name := range decisive {
		have, want := p.setting(name), c.setting(name)
		flag := strings.HasPrefix(name, "-")
		switch {
		case have == "" && want == "":
			continue
		case want == "" && have == "true" && flag:
			want = "false"
		case want == "" && (name == "GOFIPS140" || name == "-pgo"):
			want = "off"
		}
		s := Setting{Name: name, Value: want}
		if flag {
			b.Flags = append(b.Flags, s)
		} else {
			b.Env = append(b.Env, s)
		}
	}
	return b
}

// levels are what the runtime asks of a processor for each GOAMD64
// (runtime/asm_amd64.s, https://go.dev/wiki/MinimumRequirements#amd64).
var levels = []struct {
	name     string
	features []string
}{
	{"v1", nil},
	{"v2", []string{"CMPXCHG16B", "LAHF", "POPCNT", "SSE3", "SSSE3", "SSE4.1", "SSE4.2"}},
	{"v3", []string{"AVX", "AVX2", "BMI1", "BMI2", "F16C", "FMA", "LZCNT", "MOVBE", "OSXSAVE"}},
	{"v4", []string{"AVX512F", "AVX512BW", "AVX512CD", "AVX512DQ", "AVX512VL"}},
}

var features = map[string]*bool{
	"CMPXCHG16B": &cpu.X86.HasCX16, "LAHF": &cpu.X86.HasLAHF, "POPCNT": &cpu.X86.HasPOPCNT,
	"SSE3": &cpu.X86.HasSSE3, "SSSE3": &cpu.X86.HasSSSE3, "SSE4.1": &cpu.X86.HasSSE41, "SSE4.2": &cpu.X86.HasSSE42,
	"AVX": &cpu.X86.HasAVX, "AVX2": &cpu.X86.HasAVX2, "BMI1": &cpu.X86.HasBMI1, "BMI2": &cpu.X86.HasBMI2,
	"F16C": &cpu.X86.HasF16C, "FMA": &cpu.X86.HasFMA, "LZCNT": &cpu.X86.HasLZCNT, "MOVBE": &cpu.X86.HasMOVBE,
	"OSXSAVE": &cpu.X86.HasOSXSAVE,
	"AVX512F": &cpu.X86.HasAVX512F, "AVX512BW": &cpu.X86.HasAVX512BW, "AVX512CD": &cpu.X86.HasAVX512CD,
	"AVX512DQ": &cpu.X86.HasAVX512DQ, "AVX512VL": &cpu.X86.HasAVX512VL,
}

func hasFeature(name string) bool { return *features[name] }

// lacks names the features that a GOAMD64 level needs and the processor does
// not have. It is empty for what is no such level.
func lacks(level string, has func(feature string) bool) []string {
	var missing []string
	for _, l := range levels {
		for _, f := range l.features {
			if !has(f) {
				missing = append(missing, f)
			}
		}
		if l.name == level {
			return missing
		}
	}
	return nil
}

// best is the highest GOAMD64 level that the processor has.
func best(lacks func(level string) []string) string {
	best := levels[0].name
	for _, l := range levels {
		if len(lacks(l.name)) == 0 {
			best = l.name
		}
	}
	return best
}
