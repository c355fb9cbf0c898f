package elfplug

import "strings"

// defaultGODEBUG is the build setting that holds what the go line, the godebug
// lines and the //go:debug lines of a program make of GODEBUG
// (https://go.dev/doc/godebug).
const defaultGODEBUG = "DefaultGODEBUG"

// GODEBUG is what the environment of cell c has to say for plugins to find the
// defaults that they were built with: as programs they would have them, and in
// a cell the cell's own are in force. The plugins have to Agree. own is the
// environment's GODEBUG, which stands.
func GODEBUG(p, c *Info, own string) string {
	var all []string
	theirs := godebugs(p)
	has := make(map[string]bool)
	for _, kv := range theirs {
		key, _, _ := strings.Cut(kv, "=")
		has[key] = true
	}
	for _, kv := range godebugs(c) {
		if key, _, _ := strings.Cut(kv, "="); !has[key] {
			all = append(all, key+"=") // as where nothing is set
		}
	}
	all = append(all, theirs...)
	if own != "" {
		all = append(all, own)
	}
	return strings.Join(all, ",")
}

// godebugs are the settings, in their order, but for the one that would make the
// cell's routing another than the gate's: patterns are those of Go 1.22 on.
func godebugs(p *Info) (settings []string) {
	if p == nil {
		return nil
	}
	for _, kv := range strings.Split(p.Settings[defaultGODEBUG], ",") {
		if key, _, ok := strings.Cut(kv, "="); ok && key != "httpmuxgo121" {
			settings = append(settings, kv)
		}
	}
	return settings
}

// fit reports whether a setting can stand in an environment.
func fit(godebug string) bool {
	return len(godebug) <= 16<<10 && !strings.ContainsFunc(godebug, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
