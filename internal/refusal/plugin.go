package refusal

import (
	"fmt"
	"strconv"
	"strings"
)

// A Setting is one flag or environment variable of a build, such as
// "-trimpath" or "GOEXPERIMENT", and its value. A flag that has none is "true".
type Setting struct{ Name, Value string }

// A Build is the command that builds a plugin which fits. The zero Build is a
// plain one.
type Build struct {
	Env     []Setting
	Flags   []Setting // besides -buildmode and -o
	Package string    // as the plugin itself names it; "" for the one in the current folder
}

// line writes the command so that it can be pasted into a shell.
func (b Build) line() string {
	var words []string
	for _, s := range b.Env {
		words = append(words, s.Name+"="+shellWord(s.Value))
	}
	words = append(words, "go build -buildmode=plugin")
	for _, s := range b.Flags {
		switch s.Value {
		case "true":
			words = append(words, s.Name)
		case "":
			words = append(words, s.Name+"=")
		default:
			words = append(words, s.Name+"="+shellWord(s.Value))
		}
	}
	words = append(words, "-o NAME.so")
	if p := b.Package; p != "" {
		// The name comes out of the file: one that needs quoting is no import path.
		if !isPlain(p) || strings.HasPrefix(p, "-") || len(p) > 200 {
			p = "."
		}
		words = append(words, p)
	}
	return strings.Join(words, " ")
}

// NotELF refuses a file that is no ELF file at all. kind says what it seems to
// be, such as "a macOS program", or is empty.
func NotELF(kind string) *Error {
	if kind != "" {
		kind = " but " + kind
	}
	return &Error{
		Reason:  "not a Go plugin: the file is not an ELF shared object" + kind,
		Mend:    "build it with: " + Build{}.line(),
		foreign: true,
	}
}

// NotSharedObject refuses an ELF file of another type, such as "an executable".
func NotSharedObject(kind string) *Error {
	return &Error{
		Reason:  "not a Go plugin: the file is " + kind + ", not an ELF shared object",
		Mend:    "build it with: " + Build{}.line(),
		foreign: true,
	}
}

// MalformedELF refuses an ELF file whose headers contradict themselves.
func MalformedELF(what string) *Error {
	return &Error{
		Reason: "not a Go plugin: the ELF file is malformed, " + what,
		Mend:   "copy it again, or build it again with: " + Build{}.line(),
	}
}

// WrongPlatform refuses a file for another machine. have and want are
// platforms as Go writes them, such as "linux/arm64".
func WrongPlatform(have, want string) *Error {
	goos, goarch, _ := strings.Cut(want, "/")
	b := Build{Env: []Setting{{"CGO_ENABLED", "1"}, {"GOOS", goos}, {"GOARCH", goarch}}}
	return &Error{
		Reason: fmt.Sprintf("built for another machine: have %s, want %s", have, want),
		Mend:   fmt.Sprintf("build it on %s, or elsewhere with a C compiler for %s in CC: %s", want, want, b.line()),
	}
}

// NotGo refuses a shared object without Go's build information.
func NotGo() *Error {
	return &Error{
		Reason:  "not a Go plugin: a shared object, but not built by Go (it has no build information)",
		Mend:    "build a Go package main with: " + Build{}.line(),
		foreign: true,
	}
}

// NotPlugin refuses a Go binary of another build mode, which may be empty
// where the file does not tell.
func NotPlugin(mode string) *Error {
	if mode != "" {
		mode = " (it has -buildmode=" + quote(mode) + ")"
	}
	return &Error{
		Reason:  "not a Go plugin: a Go binary, but not built with -buildmode=plugin" + mode,
		Mend:    "build it with: " + Build{}.line(),
		foreign: true,
	}
}

// RenamedPlugin refuses a plugin whose symbols are not named after its plugin
// path, so that plugin.Open finds none of them.
func RenamedPlugin() *Error {
	return &Error{
		Reason: "its symbols cannot be found: its plugin path was changed by -ldflags=-pluginpath",
		Mend:   "build it without -pluginpath: every handler has a process of its own, so two builds of one package never collide",
	}
}

// NoHandler refuses a plugin that exports neither Handler nor Handlers.
// exports are the names that it does export.
func NoHandler(exports []string) *Error {
	have := "nothing"
	if len(exports) > 0 {
		have = list(exports, 10)
	}
	return &Error{
		Reason: "exports neither Handler nor Handlers; it exports " + have,
		Mend:   "export from its package main: func Handler() (string, func(http.ResponseWriter, *http.Request))",
	}
}

// OtherRelease refuses a plugin built by another Go release than its cell.
// b builds one that matches.
func OtherRelease(have, want string, b Build) *Error {
	return &Error{
		Reason: fmt.Sprintf("built by another Go release: have %s, want %s", quote(have), quote(want)),
		Mend:   "build it with: " + b.line(),
	}
}

// Flag is a build setting in which a plugin and its cell differ, such as
// "-trimpath" or "GOEXPERIMENT". Empty is unset.
type Flag struct{ Name, Have, Want string }

// OtherFlags refuses a plugin whose flags gave it other packages than its
// cell's. b builds one that matches.
func OtherFlags(flags []Flag, b Build) *Error {
	var s []string
	for _, f := range flags {
		s = append(s, "have "+f.word(f.Have)+", want "+f.word(f.Want))
	}
	return &Error{
		Reason: "built with other flags than its cell: " + strings.Join(s, "; "),
		Mend:   "build it with: " + b.line(),
	}
}

// word writes the flag with one of its values as a person would type it.
func (f Flag) word(value string) string {
	switch value {
	case "":
		return "no " + f.Name
	case "true":
		return f.Name
	}
	return f.Name + "=" + quote(value)
}

// OtherPackages refuses a plugin built by the same release with the same flags
// whose packages differ from its cell's all the same.
func OtherPackages(pkgs []string, b Build) *Error {
	return &Error{
		Reason: "built from other sources than its cell, though by the same Go release with the same flags: it differs in " + list(pkgs, 5),
		Mend:   "build it with the Go installation that built the cell (the other may be patched), or build the cell again: " + b.line(),
	}
}

// PathTaken refuses a plugin whose package path is also a package of the cell.
func PathTaken(path string) *Error {
	return &Error{
		Reason: fmt.Sprintf("its package path %s is also a package of the cell", quote(path)),
		Mend:   "give its module another name in go.mod, then build it with: " + Build{}.line(),
	}
}

// BeyondCPU refuses a plugin built for a GOAMD64 level of which this machine
// lacks features, named as in Go's documentation of GOAMD64.
func BeyondCPU(level string, missing []string, b Build) *Error {
	return &Error{
		Reason: fmt.Sprintf("built with GOAMD64=%s, but this machine's processor lacks %s", level, strings.Join(missing, ", ")),
		Mend:   "build it with: " + b.line(),
	}
}

// list writes at most so many names, and says how many it left out.
func list(names []string, most int) string {
	rest := ""
	if n := len(names) - most; n > 0 {
		rest = fmt.Sprintf(" and %d more", n)
		names = names[:most]
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ") + rest
}

// quote shortens what a file says of itself and makes it safe for a terminal.
func quote(s string) string {
	s = short(s)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.Quote(s)
		}
	}
	return s
}

// short shortens a name that somebody else chose.
func short(s string) string {
	if len(s) <= 120 {
		return s
	}
	return strings.ToValidUTF8(s[:120], "") + "..."
}
