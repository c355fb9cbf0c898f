// Package badbuild words why a plugin or a cell could not be built, or no cell was found
// that loads a plugin, and the fixes.
package badbuild

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// NoCell refuses a plugin where there is no cell at all to load it. dirs are
// the places that were looked at.
func NoCell(dirs ...string) *refusal.Error {
	return &refusal.Error{
		Reason: "there is no cell to load it: none is usable in " + words.List(dirs, 5),
		Mend:   "see why those there are not used: plugserverctl cell list",
		Or:     []string{"install the package again", "name a cell with --cell"},
	}
}

// OrCell adds to the fix of a plugin that no cell loads what else would do: a
// cell that is built to match it.
func OrCell(r *refusal.Error) *refusal.Error {
	return &refusal.Error{Reason: r.Reason, Mend: r.Mend, Or: append(slices.Clone(r.Or), matchingCell)}
}

// CellFirst is OrCell on a machine that has what builds the cell: no source is
// needed for that, and nothing of the plugin changes.
func CellFirst(r *refusal.Error) *refusal.Error {
	if !slices.Contains(r.Or, matchingCell) {
		return r // none would load it
	}
	or := slices.DeleteFunc(slices.Clone(r.Or), func(fix string) bool { return fix == matchingCell })
	return &refusal.Error{Reason: r.Reason, Mend: matchingCell, Or: append([]string{r.Mend}, or...)}
}

const matchingCell = "build a cell that matches it: plugserverctl cell build NAME.so"

// NotCell refuses a file that is no cell, as cause says.
func NotCell(cause error) *refusal.Error {
	return &refusal.Error{
		Reason: "not a cell: " + words.OneLine(cause.Error()),
		Mend:   "build one with plugserverctl cell build",
	}
}

// OtherProtocol refuses a cell that speaks another protocol than plugserverd;
// have is 0 where it names none.
func OtherProtocol(have, want int) *refusal.Error {
	reason := fmt.Sprintf("speaks another protocol than plugserverd: have %d, want %d", have, want)
	if have == 0 {
		reason = "not a cell of plugserver: it names no protocol"
	}
	return &refusal.Error{Reason: reason, Mend: "build it again with the plugserverctl of this version: plugserverctl cell build NAME.so"}
}

// ForeignCell refuses a cell that others than root and the daemon's user may
// have written.
func ForeignCell(path string) *refusal.Error {
	p := words.Shell(path)
	return &refusal.Error{
		Reason: "file can be written by others than root and the daemon's user",
		Mend:   "chown root " + p + " && chmod go-w " + p,
	}
}

// AlteredCell refuses a cell that is not what it was when it was added: its name tells.
func AlteredCell(name, path string) *refusal.Error {
	return &refusal.Error{
		Reason: "file is not what its name says: the disk or somebody has changed it",
		Mend:   "delete it, plugserverctl cell remove " + words.Shell(name) + ", and look who may write to " + words.Shell(path) + ": a cell is built again where that is possible",
	}
}

// NotExecutable refuses a cell that may not be run.
func NotExecutable(path string) *refusal.Error {
	return &refusal.Error{Reason: "file is not executable", Mend: "chmod +x " + words.Shell(path)}
}

// BuildAsRoot refuses a build by a daemon that runs as root.
func BuildAsRoot() *refusal.Error {
	return &refusal.Error{
		Reason: "plugserverd runs as root and builds nothing",
		Mend:   matchingCell,
		Or:     []string{"build the plugin: plugserverctl build PACKAGE", "run it as a user of its own (User= of plugserverd.service)"},
	}
}

// SourceOfOthers refuses to compile, as root, source that others may have written; why is the first of it.
func SourceOfOthers(as, why string) *refusal.Error {
	return &refusal.Error{
		Reason: "root compiles nothing that others may have written: " + why,
		Mend:   "build it as its author, and install the file as root: plugserverctl build " + words.Shell(as),
		Or:     []string{"make it root's, if you have read it: chown -R root " + words.Shell(as)},
	}
}

// goroot is how a Go installation is named.
const goroot = "GOROOT= in plugserverd.conf, --goroot of plugserverctl"

// elsewhere is the fix where this machine cannot build a cell.
const elsewhere = "build the cell on a machine that has one: plugserverctl cell build -o CELL NAME.so; and add it here: plugserverctl cell add CELL"

// NoToolchain says that there is no go command.
func NoToolchain() *refusal.Error {
	return &refusal.Error{
		Reason: "no Go toolchain was found",
		Mend:   "apt install golang-go gcc libc6-dev, and let the service run it (building.conf among the package's examples)",
		Or:     []string{"name one: " + goroot, elsewhere},
	}
}

// NoRelease says that no toolchain here is of the release want. have are those
// that were found. network tells whether a download was allowed, and cause how
// it went.
func NoRelease(want string, have []string, network bool, cause string) *refusal.Error {
	e := &refusal.Error{
		Reason: fmt.Sprintf("no Go toolchain of release %s was found, there is %s", words.Quote(want), words.List(have, 5)),
		Mend:   "name one: " + goroot,
		Or:     []string{elsewhere},
	}
	if network {
		e.Reason += "; go could not fetch it: " + words.Lines([]string{cause})
		return e
	}
	e.Reason += "; --build-network=off kept go from fetching it"
	e.Mend, e.Or = networkOn, append([]string{e.Mend}, e.Or...)
	return e
}

// networkOn is the fix for what --build-network=off stopped.
const networkOn = "let go fetch it: --build-network=on; of the service: PLUGSERVER_BUILD_NETWORK=on in /etc/default/plugserverd, then systemctl restart plugserverd"

// TooOld says that there are no cells for plugins of the release have.
func TooOld(have, oldest string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("built by %s, and there are cells from %s on", words.Quote(have), oldest),
		Mend:   "build it by a later Go release",
	}
}

// NoCompiler says that the C compiler cc, which plugins and cells need, is
// missing.
func NoCompiler(cc string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("no C compiler was found: %s is not on the PATH", words.Quote(cc)),
		Mend:   "apt install gcc libc6-dev",
	}
}

// NoProfile refuses to build a cell for a plugin whose profile (-pgo), which
// decides what the standard library looks like, is not here.
func NoProfile(path string, cause error) *refusal.Error {
	mend := "copy the profile there"
	if !strings.HasPrefix(path, "/") { // -trimpath leaves the name alone
		mend = "build the plugin without -trimpath, for the profile's whole path to be known"
	}
	return &refusal.Error{
		Reason: fmt.Sprintf("built with the profile %s, which cannot be read here: %s", words.Quote(path), words.Errno(cause)),
		Mend:   mend,
		Or:     []string{"build the plugin with -pgo=off"},
	}
}

// BuildTimeout says that a build took longer than limit.
func BuildTimeout(limit time.Duration) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("the build took longer than %v and was ended", limit),
		Mend:   "allow more with --build-timeout",
		Or:     []string{"build it elsewhere"},
	}
}

// CellDiffers says that the cell that was built to match a plugin does not
// load it, as r says. releases are the toolchains that were tried.
func CellDiffers(r *refusal.Error, toolchains []string) *refusal.Error {
	return &refusal.Error{
		Reason: "a cell built to match still differs from the plugin: " + r.Reason + " (built by " + words.List(toolchains, 5) + ")",
		Mend:   "name the Go installation that built the plugin: " + goroot,
		Or:     []string{"build the plugin by the cell's: plugserverctl build PACKAGE"},
	}
}

// PluginDiffers says that the plugin that was built for a cell is not loaded by
// it, as r says. toolchains are those that were tried.
func PluginDiffers(r *refusal.Error, toolchains []string) *refusal.Error {
	return &refusal.Error{
		Reason: "the plugin that was built does not match the cell: " + r.Reason + " (built by " + words.List(toolchains, 5) + ")",
		Mend:   "name the Go installation that built the cell: " + goroot,
		Or:     []string{matchingCell},
	}
}

// NoMatch refuses a plugin that no cell loads, as refused says, where none could
// be built either, as cause says. Where its Go release is here, what is wanting
// besides is fixed first; else another build of the plugin is less work.
func NoMatch(refused, cause *refusal.Error, here bool) *refusal.Error {
	first, then := append([]string{refused.Mend}, refused.Or...), append([]string{cause.Mend}, cause.Or...)
	if here {
		first, then = then, first
	}
	var fixes []string
	for _, fix := range append([]string{first[0]}, append(then, first[1:]...)...) {
		if !slices.Contains(fixes, fix) {
			fixes = append(fixes, fix)
		}
	}
	return &refusal.Error{
		Reason: refused.Reason + "; a cell that matches it could not be built: " + cause.Reason,
		Mend:   fixes[0],
		Or:     fixes[1:],
	}
}

// CellBuild says that a cell could not be built; lines are what the go command
// said.
func CellBuild(lines []string) *refusal.Error {
	return &refusal.Error{
		Reason: "a cell cannot be built: " + words.Lines(lines),
		Mend:   "see what go says of the flags that built the plugin",
		Or:     []string{elsewhere},
	}
}

// Compile refuses source that does not compile. lines are the compiler's, with
// file and line first as the source's owner knows them.
func Compile(lines []string) *refusal.Error {
	return &refusal.Error{Reason: words.Lines(lines), Mend: "mend the source: it is compiled again by itself"}
}

// MissingModule refuses source that imports what is not here, where the
// network may not be used.
func MissingModule(lines []string) *refusal.Error {
	return &refusal.Error{
		Reason: words.Lines(lines) + "; --build-network=off kept go from fetching it",
		Mend:   "put it into the folder: go mod vendor",
		Or:     []string{networkOn},
	}
}

// NoReplacement refuses source whose go.mod replaces a module with a folder that
// is not there: a copy is built, which has the source's own folder alone, or,
// inPlace, the source itself.
func NoReplacement(lines []string, inPlace bool) *refusal.Error {
	e := &refusal.Error{
		Reason: words.Lines(lines),
		Mend:   "copy the modules into the folder, where they all are: go mod vendor; and copy that here with its vendor folder",
		Or:     []string{"move what replaces it into the folder: go mod edit -replace=MODULE=./NAME", "build it where all of it is: plugserverctl build PACKAGE"},
	}
	if inPlace {
		e.Mend, e.Or = "put what replaces it where go.mod says, as seen from its own folder", []string{"name where it is: go mod edit -replace=MODULE=FOLDER"}
	}
	return e
}

// NewerGo refuses source whose go.mod asks for a later Go release than its
// cell's.
func NewerGo(lines []string) *refusal.Error {
	return &refusal.Error{
		Reason: words.Lines(lines),
		Mend:   "lower the go line in its go.mod",
		Or:     []string{"build it by that release: the cell that matches can be built, too"},
	}
}

// NoSource refuses a folder or file that holds no package main to build.
func NoSource(path string, cause string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("%s is no source of a handler: %s", words.Quote(path), cause),
		Mend:   "give a NAME.go file, or a folder with a Go package main",
	}
}
