package badbuild

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

func TestBuildRefusalsTellReasonAndMend(t *testing.T) {
	gone := &fs.PathError{Op: "open", Path: "/p/cpu.pprof", Err: syscall.ENOENT}
	differs := &refusal.Error{Reason: "it differs in strings"}
	var many []string
	for range 30 {
		many = append(many, "a.go:1:2:\tundefined: x")
	}
	for _, tt := range []struct {
		got          *refusal.Error
		reason, mend string
	}{
		{NoCell("/usr/lib/x", "/var/lib/y z"), `there is no cell to load it: none is usable in /usr/lib/x, "/var/lib/y z"`, "see why those there are not used: plugserverctl cell list"},
		{OrCell(&refusal.Error{Reason: "reason", Mend: "do this"}), "reason", "do this"},
		{NotCell(gone), "not a cell: open /p/cpu.pprof: no such file or directory", "build one with plugserverctl cell build"},
		{OtherProtocol(1, 2), "speaks another protocol than plugserverd: have 1, want 2", "build it again"},
		{OtherProtocol(0, 2), "not a cell of plugserver: it names no protocol", "build it again"},
		{AlteredCell("a", "/c/a"), "file is not what its name says: the disk or somebody has changed it", "delete it, plugserverctl cell remove a, and look who may write to /c/a: a cell is built again where that is possible"},
		{ForeignCell("/a b"), "file can be written by others than root and the daemon's user", "chown root '/a b' && chmod go-w '/a b'"},
		{NotExecutable("/a b"), "file is not executable", "chmod +x '/a b'"},
		{BuildAsRoot(), "plugserverd runs as root and builds nothing", "build a cell that matches it: plugserverctl cell build NAME.so"},
		{SourceOfOthers("a b", "/a b: x"), "root compiles nothing that others may have written: /a b: x", "build it as its author, and install the file as root: plugserverctl build 'a b'"},
		{NoToolchain(), "no Go toolchain was found", "apt install golang-go gcc libc6-dev"},
		{NoRelease("go1.25.4", []string{"go1.26.8 in /go"}, false, ""), `no Go toolchain of release go1.25.4 was found, there is "go1.26.8 in /go"; --build-network=off kept go from fetching it`, "let go fetch it: --build-network=on; of the service: PLUGSERVER_BUILD_NETWORK=on in /etc/default/plugserverd"},
		{NoRelease("go1.25.4", []string{"go1.26.8"}, true, "no\nroute"), "no Go toolchain of release go1.25.4 was found, there is go1.26.8; go could not fetch it: no route", "name one: GOROOT= in plugserverd.conf, --goroot of plugserverctl"},
		{TooOld("go1.22.5", "go1.23.0"), "built by go1.22.5, and there are cells from go1.23.0 on", "build it by a later Go release"},
		{NoCompiler("gcc"), "no C compiler was found: gcc is not on the PATH", "apt install gcc libc6-dev"},
		{NoProfile("/p/cpu.pprof", gone), "built with the profile /p/cpu.pprof, which cannot be read here: no such file or directory", "copy the profile there"},
		{NoProfile("cpu.pprof", gone), "built with the profile cpu.pprof, which cannot be read here: no such file or directory", "build the plugin without -trimpath"},
		{BuildTimeout(time.Minute), "the build took longer than 1m0s and was ended", "allow more with --build-timeout"},
		{CellDiffers(differs, []string{"go1"}), "a cell built to match still differs from the plugin: it differs in strings (built by go1)", "name the Go installation that built the plugin"},
		{PluginDiffers(differs, []string{"go1"}), "the plugin that was built does not match the cell: it differs in strings (built by go1)", "name the Go installation that built the cell"},
		{CellBuild([]string{"go: no"}), "a cell cannot be built: go: no", "see what go says"},
		{Compile([]string{"a.go:1:2: x", "\tb"}), "a.go:1:2: x | b", "mend the source: it is compiled again by itself"},
		{Compile(many), strings.Repeat("a.go:1:2: undefined: x | ", 10) + "and 20 more", "mend the source"},
		{Compile([]string{strings.Repeat("x", 5000), "y"}), strings.Repeat("x", 2000) + " | and 1 more", "mend the source"},
		{MissingModule([]string{"a.go:1:2: x"}), "a.go:1:2: x; --build-network=off kept go from fetching it", "put it into the folder: go mod vendor"},
		{NewerGo([]string{"go: x"}), "go: x", "lower the go line in its go.mod"},
		{NoSource("hi", "it is none"), "hi is no source of a handler: it is none", "give a NAME.go file"},
	} {
		if tt.got.Reason != tt.reason || !strings.HasPrefix(tt.got.Mend, tt.mend) {
			t.Errorf("got  %v\nwant %s; %s", tt.got, tt.reason, tt.mend)
		}
		if strings.ContainsAny(tt.got.Error(), "\n\t") {
			t.Errorf("more than a line: %q", tt.got)
		}
	}
}

// The fix that is best on the machine comes first, and each stands by itself.
func TestTheBestFixComesFirst(t *testing.T) {
	refused := OrCell(badfile.OtherRelease("go1.25.4", "go1.26.8", "GOTOOLCHAIN=go1.26.8 go build -buildmode=plugin -o NAME.so ."))
	const rebuilt, cell = "build it with: GOTOOLCHAIN=go1.26.8 go build", "build a cell that matches it: plugserverctl cell build NAME.so"
	for _, tt := range []struct {
		name string
		got  *refusal.Error
		want []string
	}{
		{"no more", refused, []string{rebuilt, cell}},
		{"its toolchain is here", CellFirst(refused), []string{cell, rebuilt}},
		{"no cell would do", CellFirst(badfile.PathTaken("x")), []string{"give its module another name"}},
		{"the network is off", NoMatch(refused, NoRelease("go1.25.4", []string{"go1.26.8"}, false, ""), false),
			[]string{rebuilt, "let go fetch it: --build-network=on", "name one: GOROOT=", "build the cell on a machine that has one", cell}},
		{"no compiler", NoMatch(refused, NoCompiler("gcc"), true), []string{"apt install gcc libc6-dev", rebuilt, cell}},
		{"root", NoMatch(refused, BuildAsRoot(), true), []string{cell, rebuilt, "build the plugin: ", "run it as a user of its own"}},
	} {
		got := append([]string{tt.got.Mend}, tt.got.Or...)
		if len(got) != len(tt.want) {
			t.Errorf("%s: got %q", tt.name, got)
			continue
		}
		for i, want := range tt.want {
			if !strings.HasPrefix(got[i], want) || strings.Contains(got[i], "; or") {
				t.Errorf("%s: fix %d: got %q, want %q", tt.name, i, got[i], want)
			}
		}
	}
	named := refused.Named("/h/a b.so")
	if named.Or[0] != "build a cell that matches it: plugserverctl cell build '/h/a b.so'" || !strings.HasSuffix(named.Mend, "-o 'a b.so' .") || strings.Contains(refused.Mend, "a b") {
		t.Errorf("named: %+v", named)
	}
}
