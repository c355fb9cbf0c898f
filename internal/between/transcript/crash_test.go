package transcript

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCrash(t *testing.T) {
	for _, c := range []struct {
		name, text, words string
		handler           []string
	}{
		{"panic", `panic: beyond help

goroutine 18 [running]:
e2e.example/p3.boom(...)
	/src/p3/main.go:9
e2e.example/p3.Handlers.func1.1()
	/src/p3/main.go:19 +0x25
created by e2e.example/p3.Handlers.func1 in goroutine 34
	/src/p3/main.go:18 +0x1d
exit status 2`, "panic: beyond help", []string{
			"e2e.example/p3.boom (/src/p3/main.go:9)", "e2e.example/p3.Handlers.func1.1 (/src/p3/main.go:19)"}},
		{"signal", `panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x7f]

goroutine 7 [running]:
plugin/unnamed-0c4.Handler.func1({0x1, 0x2}, 0xc00)
	/home/ada/hi.go:12 +0x1
net/http.HandlerFunc.ServeHTTP(0xc0001)
	/usr/local/go/src/net/http/server.go:2294 +0x29
github.com/andrestc/go-plugserver/internal/serve/cell.(*own).ServeHTTP(0xc0)
	/src/internal/serve/cell/serve.go:30 +0x1
main.main()
	/src/main.go:3

goroutine 1 [select]:
example.com/other.F()
	/x.go:1`, "panic: runtime error: invalid memory address or nil pointer dereference [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x7f]",
			[]string{"plugin/unnamed-0c4.Handler.func1 (/home/ada/hi.go:12)"}},
		{"trimmed, and an escaped path", `fatal error: concurrent map writes

goroutine 19 [running]:
internal/runtime/maps.fatal({0x7f, 0x15})
	runtime/panic.go:1058 +0x18
myplugin.(*Store).Put(0xc0)
	myplugin/store.go:4 +0x1
gopkg.in/yaml%2ev3.Unmarshal(...)
	gopkg.in/yaml.v3@v3.0.1/yaml.go:9
`, "fatal error: concurrent map writes", []string{"myplugin.(*Store).Put (myplugin/store.go:4)", "gopkg.in/yaml%2ev3.Unmarshal (gopkg.in/yaml.v3@v3.0.1/yaml.go:9)"}},
		{"no thread", `runtime: failed to create new OS thread (have 31 already; errno=11)
runtime: may need to increase max user processes (ulimit -u)
fatal error: newosproc

runtime stack:`, "runtime: failed to create new OS thread (have 31 already; errno=11) runtime: may need to increase max user processes (ulimit -u) fatal error: newosproc runtime stack:", nil},
		{"no thread, with cgo", `runtime/cgo: pthread_create failed: Resource temporarily unavailable
SIGABRT: abort
PC=0x7fb05fa25eec m=5 sigcode=18446744073709551610

goroutine 0 gp=0x1e m=5 mp=0x1e [idle]:
runtime: g 0 gp=0x1e9f6c9f7860: unknown pc 0x7fb05fa25eec`, "runtime/cgo: pthread_create failed: Resource temporarily unavailable SIGABRT: abort PC=0x7fb05fa25eec m=5 sigcode=18446744073709551610", nil},
		{"cut short", "panic: x\n\ngoroutine 1 [running]:\na.b()", "panic: x", nil},
		{"no stack", "fatal error: all goroutines are asleep", "fatal error: all goroutines are asleep", nil},
	} {
		lines := strings.Split(c.text, "\n")
		if !beginsCrash(lines[0]) {
			t.Errorf("%s: not recognised", c.name)
		}
		got := parseCrash(lines)
		var frames []string
		for _, f := range got.Handler() {
			frames = append(frames, f.String())
		}
		if got.Words != c.words || !slices.Equal(frames, c.handler) {
			t.Errorf("%s: got %q, %q; want %q, %q", c.name, got.Words, frames, c.words, c.handler)
		}
	}
}

func FuzzCrash(f *testing.F) {
	f.Add("panic: x\n\ngoroutine 1 [running]:\na.b()\n\tc.go:1 +0x1\n")
	f.Fuzz(func(t *testing.T, text string) { _ = fmt.Sprint(parseCrash(strings.Split(text, "\n")).Handler()) })
}

// A crash is the last that was printed; a handler may print what looks like one.
func TestTheLastCrashCounts(t *testing.T) {
	var c Transcript
	for _, text := range []string{"panic: of a log", "goroutine 1 [running]:", "a.b()", "\tc.go:1", "hello", "panic: real", "", "goroutine 9 [running]:", "d.e()", "\tf.go:2"} {
		c.Heard("stdout", "fatal error: on another stream")
		c.Heard("stderr", text)
	}
	if got, ok := c.Crash(); !ok || got.Words != "panic: real" || len(got.Stack) != 1 || got.Stack[0].Func != "d.e" {
		t.Errorf("got %+v", got)
	}
}

// What a child has printed is told of its end where it belongs to that: the runtime's crash, and what was printed right before.
func TestLastWords(t *testing.T) {
	const stack = "panic: a stone\n\ngoroutine 7 [running]:\nexample.com/h.F(...)\n\t/h/main.go:9\ncreated by example.com/h.G in goroutine 1\n\t/h/main.go:18 +0x1d\n"
	const died = "panic: a stone in example.com/h.F (/h/main.go:9)"
	for _, tt := range []struct {
		name, first string
		pause       time.Duration
		then, ended string
		words       string
	}{
		{"a panic", "serving", time.Minute, stack, "exit status 2", died},
		{"a signal's registers", "", 0, stack + "\nrax    0x0\nr8     0x2000\nrflags 0x10246", "exit status 2", died},
		{"a core dump", stack, time.Minute, "", "signal: aborted (core dumped)", died},
		{"recovered from, then an exit", stack, 0, "", "exit status 3", ""},
		{"recovered from, then words", stack, 0, "cannot go on", "exit status 1", "cannot go on"},
		{"recovered from, then one with a crash's status", stack, time.Minute, "", "exit status 2", ""},
		{"recovered from, then words and a crash's status", stack, 0, "usage: h FILE", "exit status 2", "usage: h FILE"},
		{"recovered from, then SIGKILL", stack, 0, "", "signal: killed", ""},
		{"recovered from, then another", "panic: caught\n\ngoroutine 9 [running]:\nx.Y()\n\t/x.go:1", 0, stack, "exit status 2", died},
		{"words of long ago", "a request", time.Minute, "", "exit status 1", ""},
		{"last words", "a request", time.Minute, "no database", "exit status 1", "no database"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var c Transcript
			for line := range strings.Lines(tt.first) {
				c.Heard("stderr", strings.TrimSuffix(line, "\n"))
			}
			time.Sleep(tt.pause)
			for line := range strings.Lines(tt.then) {
				c.Heard("stderr", strings.TrimSuffix(line, "\n"))
			}
			c.Ended(tt.ended)
			if got := c.LastWords(); got != tt.words {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.words)
			}
		})
	}
}

// Whatever else the standard library gets, a frame of it is not the handler's.
func TestStandard(t *testing.T) {
	out, err := exec.Command("go", "list", "std").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if first, _, _ := strings.Cut(pkg, "/"); !slices.Contains(standard, first) {
			t.Errorf("%s is missing", pkg)
		}
	}
}
