package plugserver_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/build/cellsource"
)

// All that users read agrees on which plugins are served.
func TestDocumentsAgreeOnWhatServes(t *testing.T) {
	oldest := strings.TrimSuffix(strings.TrimPrefix(cellsource.OldestGo, "go"), ".0")
	says := "Plugins built by any Go release from " + oldest + " on, with any flags, are served"
	other := regexp.MustCompile("(?i)built (with|by) the Go release|Go release (and the flags )?that built `?plugserver-cell|without `?-?(trimpath|race)|no flag")
	for _, path := range []string{
		"README.md", "handlers/README.md", "packaging/deb/debian/README.Debian", "packaging/deb/debian/control",
		"packaging/deb/man/plugserver-handler.7",
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page := strings.Join(strings.Fields(string(text)), " ")
		if !strings.Contains(page, says) {
			t.Errorf("%s does not say %q", path, says)
		}
		if !strings.HasSuffix(path, "control") && !strings.Contains(page, "plugserverctl cell build") {
			t.Errorf("%s does not say how a cell that matches is built", path)
		}
		if wrong := other.FindString(page); wrong != "" {
			t.Errorf("%s says %q", path, wrong)
		}
	}
}

// Who has no package finds in README.md where make run listens, and where the man pages are.
func TestRunsAndReadsWithoutThePackage(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("make", "-n", "run", "LISTEN=127.0.0.1:9090").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--listen 127.0.0.1:9090 ") || !strings.Contains(string(readme), "make run LISTEN=127.0.0.1:9090") {
		t.Errorf("make run does not listen where the README has it: %v\n%s", err, said)
	}
	pages := regexp.MustCompile("`man -l ([^`]*)`").FindAllStringSubmatch(string(readme), -1)
	if len(pages) == 0 {
		t.Error("the README does not tell where the man pages are")
	}
	for _, p := range pages {
		if _, err := os.Stat(p[1]); err != nil {
			t.Error(err)
		}
	}
}

// README.md and make test itself say how long it takes, and each test is told as
// it ends; a failed one with all that it said.
func TestMakeTestTellsHowFarItIs(t *testing.T) {
	for _, path := range []string{"README.md", "Makefile"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, says := range []string{"about 25 minutes on 2 processors", "5 GB of disk", "250 MB", "1.23 to"} {
			if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), says) {
				t.Errorf("%s does not say %q", path, says)
			}
		}
	}
	recipe, err := exec.Command("make", "-n", "test").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, tell, ok := strings.Cut(string(recipe), "| awk -v all=0 '")
	tell, _, ok2 := strings.Cut(tell, "'\n")
	if !ok || !ok2 {
		t.Fatalf("make test tells nothing:\n%s", recipe)
	}
	tell = strings.ReplaceAll(tell, "\\\n", "")
	const fine = "=== RUN   TestA\n    a_test.go:1: noise\n--- PASS: TestA (1.00s)\n"
	const bad = "=== RUN   TestB\n    b_test.go:1: why\n=== RUN   TestB/good\n    b_test.go:2: fine\n=== RUN   TestB/bad\n    b_test.go:3: whose\n        more\n" +
		"--- FAIL: TestB (0.00s)\n    --- PASS: TestB/good (0.00s)\n    --- FAIL: TestB/bad (0.00s)\nFAIL\nFAIL\tx\t1s\npanic: boo\nstack\n"
	const again = "\nFAILED:\n    b_test.go:1: why\n--- FAIL: TestB (0.00s)\n    b_test.go:3: whose\n        more\n    --- FAIL: TestB/bad (0.00s)\nFAIL\nFAIL\tx\t1s\n    b_test.go:3: whose\n        more\npanic: boo\n"
	for all, want := range map[string]string{
		"0": "--- PASS: TestA (1.00s)\n" + bad + again,
		"1": fine + bad + again,
	} {
		cmd := exec.Command("awk", "-v", "all="+all, tell)
		cmd.Stdin = strings.NewReader(fine + bad)
		if out, err := cmd.Output(); err != nil || string(out) != want {
			t.Errorf("all=%s: %v: got\n%swant\n%s", all, err, out, want)
		}
	}
}

// docs/protocols.md has every kind of message, and no other.
func TestProtocolsNameEveryMessage(t *testing.T) {
	source, err := os.ReadFile("internal/between/link/link.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Kind = "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		kinds[m[1]] = true
	}
	told := make(map[string]bool)
	link, _, _ := strings.Cut(string(page), "\n## The hand-over\n")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(link, -1) {
		told[m[1]] = true
	}
	for kind := range kinds {
		if !told[kind] {
			t.Errorf("docs/protocols.md does not have %q", kind)
		}
	}
	if len(told) != len(kinds) || len(kinds) < 15 {
		t.Errorf("docs/protocols.md has %d kinds of messages, there are %d", len(told), len(kinds))
	}
}

// docs/protocols.md has every frame of the hand-over and every flag in one, and no other.
func TestProtocolsNameEveryFrame(t *testing.T) {
	source, err := os.ReadFile("internal/serve/handover/message.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	_, told, ok := strings.Cut(string(page), "\n## The hand-over\n")
	if !ok {
		t.Fatal("docs/protocols.md has no hand-over")
	}
	of := func(pattern, text string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			all = append(all, strings.ToLower(m[1]))
		}
		return all
	}
	table := func(head string) []string {
		_, rows, _ := strings.Cut(told, "| "+head+" |")
		rows, _, _ = strings.Cut(rows, "\n\n")
		return of("(?m)^\\| `(\\w+)` \\|", rows)
	}
	// The flags are two lists, each of which begins with iota.
	_, flags, _ := strings.Cut(string(source), "= 1 << iota")
	message, answer, _ := strings.Cut(flags, "= 1 << iota")
	message, _, _ = strings.Cut(message, "\n)")
	for _, tt := range []struct {
		head       string
		want, told []string
		least      int
	}{
		{"frame", of(`(?m)^\tkind\w+ += '(.)'`, string(source)), table("frame"), 7},
		{"flag of a message", append([]string{"idle"}, of(`(?m)^\tflag([A-Z]\w+)$`, message)...), table("flag of a message"), 4},
		{"flag of an answer", append([]string{"done"}, of(`(?m)^\tflag([A-Z]\w+)$`, answer)...), table("flag of an answer"), 4},
	} {
		if !slices.Equal(tt.told, tt.want) || len(tt.want) < tt.least {
			t.Errorf("docs/protocols.md has, as %s, %q; there are %q", tt.head, tt.told, tt.want)
		}
	}
}

// docs/fleet.md names tests and benchmarks that there are.
func TestFleetNamesTests(t *testing.T) {
	page, err := os.ReadFile("docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`((?:Test|Benchmark)\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(names) < 10 {
		t.Errorf("it names %d tests", len(names))
	}
	var tests strings.Builder
	for _, top := range []string{"internal", "cmd", "bench"} {
		err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			tests.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range names {
		if !strings.Contains(tests.String(), "\nfunc "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}
