package refusal

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// NoCell refuses a plugin where there is no cell at all to load it. dirs are
// the places that were looked at.
func NoCell(dirs ...string) *Error {
	return &Error{
		Reason: "there is no cell to load it: none is usable in " + list(dirs, 5),
		Mend:   "see why those there are not used: plugserverctl cell list",
		Or:     []string{"install the package again", "name a cell with --cell"},
	}
}

// OrCell adds to the mend of a plugin that no cell loads what else would do: a
// cell that is built to match it.
func OrCell(r *Error) *Error {
	return &Error{Reason: r.Reason, Mend: r.Mend, Or: append(slices.Clone(r.Or), matchingCell)}
}

// CellFirst is OrCell on a machine that has what builds the cell: no source is
// needed for that, and nothing of the plugin changes.
func CellFirst(r *Error) *Error {
	if !slices.Contains(r.Or, matchingCell) {
		return r // none would load it
	}
	or := slices.DeleteFunc(slices.Clone(r.Or), func(fix string) bool { return fix == matchingCell })
	return &Error{Reason: r.Reason, Mend: matchingCell, Or: append([]string{r.Mend}, or...)}
}

const matchingCell = "build a cell that matches it: plugserverctl cell build NAME.so"

// NotCell refuses a file that is no cell, as cause says.
func NotCell(cause error) *Error {
	return &Error{
		Reason: "not a cell: " + oneLine(cause.Error()),
		Mend:   "build one with plugserverctl cell build",
	}
}

// OtherProtocol refuses a cell that speaks another protocol than plugserverd;
// have is 0 where it names none.
func OtherProtocol(have, want int) *Error {
	reason := fmt.Sprintf("speaks another protocol than plugserverd: have %d, want %d", have, want)
	if have == 0 {
		reason = "not a cell of plugserver: it names no protocol"
	}
	return &Error{Reason: reason, Mend: "build it again with the plugserverctl of this version: plugserverctl cell build NAME.so"}
}

// ForeignCell refuses a cell that others than root and the daemon's user may
// have written.
func ForeignCell(path string) *Error {
	p := shellWord(path)
	return &Error{
		Reason: "file can be written by others than root and the daemon's user",
		Mend:   "chown root " + p + " && chmod go-w " + p,
	}
}

// NotExecutable refuses a cell that may not be run.
func NotExecutable(path string) *Error {
	return &Error{Reason: "file is not executable", Mend: "chmod +x " + shellWord(path)}
}

// BuildAsRoot refuses a build by a daemon that runs as root.
func BuildAsRoot() *Error {
	return &Error{
		Reason: "plugserverd runs as root and builds nothing",
		Mend:   matchingCell,
		Or:     []string{"build the plugin: plugserverctl build PACKAGE", "run it as a user of its own (User= of plugserverd.service)"},
	}
}

// goroot is how a Go installation is named.
const goroot = "GOROOT= in plugserverd.conf, --goroot of plugserverctl"

// elsewhere is the mend where this machine cannot build a cell.
const elsewhere = "build the cell on a machine that has one: plugserverctl cell build -o CELL NAME.so; and add it here: plugserverctl cell add CELL"

// NoToolchain says that there is no go command.
func NoToolchain() *Error {
	return &Error{
		Reason: "no Go toolchain was found",
		Mend:   "apt install golang-go gcc libc6-dev, and let the service run it (building.conf among the package's examples)",
		Or:     []string{"name one: " + goroot, elsewhere},
	}
}

// NoRelease says that no toolchain here is of the release want. have are those
// that were found. network tells whether a download was allowed, and cause how
// it went.
func NoRelease(want string, have []string, network bool, cause string) *Error {
	e := &Error{
		Reason: fmt.Sprintf("no Go toolchain of release %s was found, there is %s", quote(want), list(have, 5)),
		Mend:   "name one: " + goroot,
		Or:     []string{elsewhere},
	}
	if network {
		e.Reason += "; go could not fetch it: " + firstLines([]string{cause})
		return e
	}
	e.Reason += "; --build-network=off kept go from fetching it"
	e.Mend, e.Or = networkOn, append([]string{e.Mend}, e.Or...)
	return e
}

// networkOn is the mend for what --build-network=off stopped.
const networkOn = "let go fetch it: --build-network=on; of the service: PLUGSERVER_BUILD_NETWORK=on in /etc/default/plugserverd, then systemctl restart plugserverd"

// TooOld says that there are no cells for plugins of the release have.
func TooOld(have, oldest string) *Error {
	return &Error{
		Reason: fmt.Sprintf("built by %s, and there are cells from %s on", quote(have), oldest),
		Mend:   "build it by a later Go release",
	}
}

// NoCompiler says that the C compiler cc, which plugins and cells need, is
// missing.
func NoCompiler(cc string) *Error {
	return &Error{
		Reason: fmt.Sprintf("no C compiler was found: %s is not on the PATH", quote(cc)),
		Mend:   "apt install gcc libc6-dev",
	}
}

// NoProfile refuses to build a cell for a plugin whose profile (-pgo), which
// decides what the standard library looks like, is not here.
func NoProfile(path string, cause error) *Error {
	mend := "copy the profile there"
	if !strings.HasPrefix(path, "/") { // -trimpath leaves the name alone
		mend = "build the plugin without -trimpath, for the profile's whole path to be known"
	}
	return &Error{
		Reason: fmt.Sprintf("built with the profile %s, which cannot be read here: %s", quote(path), errnoText(cause)),
		Mend:   mend,
		Or:     []string{"build the plugin with -pgo=off"},
	}
}

// BuildTimeout says that a build took longer than limit.
func BuildTimeout(limit time.Duration) *Error {
	return &Error{
		Reason: fmt.Sprintf("the build took longer than %v and was ended", limit),
		Mend:   "allow more with --build-timeout",
		Or:     []string{"build it elsewhere"},
	}
}

// CellDiffers says that the cell that was built to match a plugin does not
// load it, as r says. releases are the toolchains that were tried.
func CellDiffers(r *Error, toolchains []string) *Error {
	return &Error{
		Reason: "a cell built to match still differs from the plugin: " + r.Reason + " (built by " + list(toolchains, 5) + ")",
		Mend:   "name the Go installation that built the plugin: " + goroot,
		Or:     []string{"build the plugin by the cell's: plugserverctl build PACKAGE"},
	}
}

// PluginDiffers says that the plugin that was built for a cell is not loaded by
// it, as r says. toolchains are those that were tried.
func PluginDiffers(r *Error, toolchains []string) *Error {
	return &Error{
		Reason: "the plugin that was built does not match the cell: " + r.Reason + " (built by " + list(toolchains, 5) + ")",
		Mend:   "name the Go installation that built the cell: " + goroot,
		Or:     []string{matchingCell},
	}
}

// NoMatch refuses a plugin that no cell loads, as refused says, where none could
// be built either, as cause says. Where its Go release is here, what is wanting
// besides is mended first; else another build of the plugin is less work.
func NoMatch(refused, cause *Error, here bool) *Error {
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
	return &Error{
		Reason: refused.Reason + "; a cell that matches it could not be built: " + cause.Reason,
		Mend:   fixes[0],
		Or:     fixes[1:],
	}
}

// CellBuild says that a cell could not be built; lines are what the go command
// said.
func CellBuild(lines []string) *Error {
	return &Error{
		Reason: "a cell cannot be built: " + firstLines(lines),
		Mend:   "see what go says of the flags that built the plugin",
		Or:     []string{elsewhere},
	}
}

// Compile refuses source that does not compile. lines are the compiler's, with
// file and line first as the source's owner knows them.
func Compile(lines []string) *Error {
	return &Error{Reason: firstLines(lines), Mend: "mend the source: it is compiled again by itself"}
}

// MissingModule refuses source that imports what is not here, where the
// network may not be used.
func MissingModule(lines []string) *Error {
	return &Error{
		Reason: firstLines(lines) + "; --build-network=off kept go from fetching it",
		Mend:   "put it into the folder: go mod vendor",
		Or:     []string{networkOn},
	}
}

// NoReplacement refuses source whose go.mod replaces a module with a folder that
// is not there: a copy is built, which has the source's own folder alone, or,
// inPlace, the source itself.
func NoReplacement(lines []string, inPlace bool) *Error {
	e := &Error{
		Reason: firstLines(lines),
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
func NewerGo(lines []string) *Error {
	return &Error{
		Reason: firstLines(lines),
		Mend:   "lower the go line in its go.mod",
		Or:     []string{"build it by that release: the cell that matches can be built, too"},
	}
}

// NoSource refuses a folder or file that holds no package main to build.
func NoSource(path string, cause string) *Error {
	return &Error{
		Reason: fmt.Sprintf("%s is no source of a handler: %s", quote(path), cause),
		Mend:   "give a NAME.go file, or a folder with a Go package main",
	}
}

// firstLines are the first lines of what go said, on one line, bounded.
func firstLines(lines []string) string {
	const most, mostBytes = 10, 2000
	var b strings.Builder
	for i, l := range lines {
		if i == most || b.Len()+len(l) > mostBytes {
			if i == 0 {
				b.WriteString(strings.ToValidUTF8(l[:mostBytes], ""))
			}
			fmt.Fprintf(&b, " | and %d more", len(lines)-max(i, 1))
			break
		}
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(oneLine(l))
	}
	return b.String()
}
