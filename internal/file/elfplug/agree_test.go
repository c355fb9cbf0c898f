package elfplug

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestAgree(t *testing.T) {
	plugin := func(change func(*Info)) *Info {
		p := &Info{
			GoVersion: "go1.26.0", Path: "example.com/a", PluginPath: "example.com/a",
			Settings: map[string]string{"-trimpath": "true"},
			Modules: []debug.Module{
				{Path: "example.com/a", Version: "(devel)"},
				{Path: "example.com/lib", Version: "v1.2.3", Sum: "h1:x"},
			},
			PkgHashes: HashesOf(map[string]string{"fmt": "1", "example.com/lib/sub": "2", "example.com/a": "3"}),
		}
		change(p)
		return p
	}
	rename := func(p *Info) {
		p.Path, p.PluginPath, p.Modules[0].Path = "example.com/b", "example.com/b", "example.com/b"
		p.PkgHashes.set("example.com/a", "")
		p.PkgHashes.set("example.com/b", "4")
	}
	shared := func(p *Info) { p.PkgHashes.set("example.com/all/x", "5") } // of a main module that both are of
	commit := func(revision, modified string) func(*Info) {
		return func(p *Info) {
			p.Modules[0].Path = "example.com/all"
			p.Settings["vcs.revision"], p.Settings["vcs.modified"] = revision, modified
			shared(p)
		}
	}
	for _, c := range []struct {
		name string
		a, b []func(*Info)
		says string
	}{
		{"two that share a library", nil, nil, ""},
		{"another release", nil, []func(*Info){func(p *Info) { p.GoVersion = "go1.25.4" }}, "go1.25.4"},
		{"other flags", nil, []func(*Info){func(p *Info) { p.Settings["-trimpath"] = "" }}, "-trimpath"},
		{"other GODEBUG defaults", nil, []func(*Info){func(p *Info) { p.Settings["DefaultGODEBUG"] = "panicnil=1" }}, "different GODEBUG settings"},
		{"the same GODEBUG defaults", []func(*Info){func(p *Info) { p.Settings["DefaultGODEBUG"] = "panicnil=1" }},
			[]func(*Info){func(p *Info) { p.Settings["DefaultGODEBUG"] = "panicnil=1" }}, ""},
		{"one package path", nil, []func(*Info){func(p *Info) { p.PluginPath = "example.com/a" }}, "package path"},
		{"another library", nil, []func(*Info){func(p *Info) { p.PkgHashes.set("example.com/lib/sub", "9") }}, "lib/sub differs"},
		{"another version that looks the same", nil, []func(*Info){func(p *Info) { p.Modules[1].Version = "v1.2.4" }}, "v1.2.4"},
		{"another sum", nil, []func(*Info){func(p *Info) { p.Modules[1].Sum = "h1:y" }}, "different sums"},
		{"replaced by a folder in both", []func(*Info){func(p *Info) { p.Modules[1].Replace = &debug.Module{Path: "../lib"} }},
			[]func(*Info){func(p *Info) { p.Modules[1].Replace = &debug.Module{Path: "../lib"} }}, "no version"},
		{"replaced in one", nil, []func(*Info){func(p *Info) {
			p.Modules[1].Replace = &debug.Module{Path: "example.com/fork", Version: "v1.2.3", Sum: "h1:x"}
		}}, "fork"},
		{"one clean commit", []func(*Info){commit("abc", "false")}, []func(*Info){commit("abc", "false")}, ""},
		{"two commits", []func(*Info){commit("abc", "false")}, []func(*Info){commit("def", "false")}, "clean commit"},
		{"a commit with changes", []func(*Info){commit("abc", "true")}, []func(*Info){commit("abc", "true")}, "clean commit"},
		{"no commit", []func(*Info){commit("", "")}, []func(*Info){commit("", "")}, "clean commit"},
		{"a package of no module", []func(*Info){shared}, []func(*Info){shared}, "no known module"},
	} {
		a := plugin(func(p *Info) {
			for _, f := range c.a {
				f(p)
			}
		})
		b := plugin(func(p *Info) {
			rename(p)
			for _, f := range c.b {
				f(p)
			}
		})
		err := Agree(a, b)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
}
