package badfile

import (
	"fmt"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// plainBuild is the command that builds a plugin.
const plainBuild = "go build -buildmode=plugin -o NAME.so"

// NotELF refuses a file that is no ELF file at all. kind says what it seems to
// be, such as "a macOS program", or is empty.
func NotELF(kind string) *refusal.Error {
	if kind != "" {
		kind = " but " + kind
	}
	return &refusal.Error{
		Reason:  "not a Go plugin: the file is not an ELF shared object" + kind,
		Mend:    "build it with: " + plainBuild,
		Foreign: true,
	}
}

// NotSharedObject refuses an ELF file of another type, such as "an executable".
func NotSharedObject(kind string) *refusal.Error {
	return &refusal.Error{
		Reason:  "not a Go plugin: the file is " + kind + ", not an ELF shared object",
		Mend:    "build it with: " + plainBuild,
		Foreign: true,
	}
}

// MalformedELF refuses an ELF file whose headers contradict themselves.
func MalformedELF(what string) *refusal.Error {
	return &refusal.Error{
		Reason: "not a Go plugin: the ELF file is malformed, " + what,
		Mend:   "copy it again, or build it again with: " + plainBuild,
	}
}

// WrongPlatform refuses a file for another machine. have and want are
// platforms as Go writes them, such as "linux/arm64".
func WrongPlatform(have, want string) *refusal.Error {
	goos, goarch, _ := strings.Cut(want, "/")
	build := "CGO_ENABLED=1 GOOS=" + words.Shell(goos) + " GOARCH=" + words.Shell(goarch) + " " + plainBuild
	return &refusal.Error{
		Reason: fmt.Sprintf("built for another machine: have %s, want %s", have, want),
		Mend:   fmt.Sprintf("build it on %s, or elsewhere with a C compiler for %s in CC: %s", want, want, build),
	}
}

// NotGo refuses a shared object without Go's build information.
func NotGo() *refusal.Error {
	return &refusal.Error{
		Reason:  "not a Go plugin: a shared object, but not built by Go (it has no build information)",
		Mend:    "build a Go package main with: " + plainBuild,
		Foreign: true,
	}
}

// NotPlugin refuses a Go binary of another build mode, which may be empty
// where the file does not tell.
func NotPlugin(mode string) *refusal.Error {
	if mode != "" {
		mode = " (it has -buildmode=" + words.Quote(mode) + ")"
	}
	return &refusal.Error{
		Reason:  "not a Go plugin: a Go binary, but not built with -buildmode=plugin" + mode,
		Mend:    "build it with: " + plainBuild,
		Foreign: true,
	}
}

// RenamedPlugin refuses a plugin whose symbols are not named after its plugin
// path, so that plugin.Open finds none of them.
func RenamedPlugin() *refusal.Error {
	return &refusal.Error{
		Reason: "its symbols cannot be found: its plugin path was changed by -ldflags=-pluginpath",
		Mend:   "build it without -pluginpath: every handler has a process of its own, so two builds of one package never collide",
	}
}

// NoHandler refuses a plugin that exports neither Handler nor Handlers.
// exports are the names that it does export.
func NoHandler(exports []string) *refusal.Error {
	have := "nothing"
	if len(exports) > 0 {
		have = words.List(exports, 10)
	}
	return &refusal.Error{
		Reason: "exports neither Handler nor Handlers; it exports " + have,
		Mend:   "export from its package main: " + refusal.Shortest,
	}
}

// AlteredCopy refuses a version whose copy in the store is not there any more as it was.
func AlteredCopy(version string) *refusal.Error {
	return &refusal.Error{
		Reason: "the copy of version " + version + " in the store is not what it was: the disk, or a handler outside of a sandbox, has changed it",
		Mend:   "copy NAME.so again, and look which handlers have NoSandbox=yes",
	}
}

// OtherRelease refuses a plugin built by another Go release than its cell.
// build is the command that builds one that matches.
func OtherRelease(have, want string, build string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("built by another Go release: have %s, want %s", words.Quote(have), words.Quote(want)),
		Mend:   "build it with: " + build,
	}
}

// OtherFlags refuses a plugin whose flags gave it other packages than its
// cell's. differences are words such as "have no -race, want -race", and build
// builds one that matches.
func OtherFlags(differences []string, build string) *refusal.Error {
	return &refusal.Error{
		Reason: "built with other flags than its cell: " + strings.Join(differences, "; "),
		Mend:   "build it with: " + build,
	}
}

// OtherPackages refuses a plugin built by the same release with the same flags
// whose packages differ from its cell's all the same.
func OtherPackages(pkgs []string, build string) *refusal.Error {
	return &refusal.Error{
		Reason: "built from other sources than its cell, though by the same Go release with the same flags: it differs in " + words.List(pkgs, 5),
		Mend:   "build it with the Go installation that built the cell (the other may be patched), or build the cell again: " + build,
	}
}

// PathTaken refuses a plugin whose package path is also a package of the cell.
func PathTaken(path string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("its package path %s is also a package of the cell", words.Quote(path)),
		Mend:   "give its module another name in go.mod, then build it with: " + plainBuild,
	}
}

// BeyondCPU refuses a plugin built for a GOAMD64 level of which this machine
// lacks features, named as in Go's documentation of GOAMD64.
func BeyondCPU(level string, missing []string, build string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("built with GOAMD64=%s, but this machine's processor lacks %s", level, strings.Join(missing, ", ")),
		Mend:   "build it with: " + build,
	}
}
