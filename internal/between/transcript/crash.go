package transcript

import (
	"regexp"
	"slices"
	"strings"
)

// maxCrash bounds the lines kept of a crash. Its first lines say what happened;
// the last are the far end of some other goroutine's stack.
const maxCrash = 100

// Crash is what the Go runtime printed when it ended a child.
type Crash struct {
	// Words are the lines before the first stack: the panic or the fatal
	// error, and the signal.
	Words string
	// Stack is the stack of the first goroutine, which is the one that died.
	Stack []Frame
}

// Frame is one call of a stack.
type Frame struct {
	Func string // such as "example.com/users.(*DB).Get"
	At   string // file and line
}

// NoThread reports whether there was no thread for the runtime.
func (c Crash) NoThread() bool {
	return strings.HasPrefix(c.Words, noThread) || strings.HasPrefix(c.Words, noThreadC)
}

func (f Frame) String() string { return f.Func[:min(len(f.Func), 300)] + " (" + f.At + ")" }

// What the runtime says where there is no thread for it, without and with cgo.
const (
	noThread  = "runtime: failed to create new OS thread"
	noThreadC = "runtime/cgo: pthread_create failed: "
)

// beginsCrash recognises the first line of a crash.
func beginsCrash(line string) bool {
	for _, p := range []string{"panic: ", "fatal error: ", "unexpected fault address ", "SIGSEGV: ", "SIGABRT: ", "SIGBUS: ", "SIGILL: ", "SIGFPE: ", "runtime: goroutine stack exceeds ", noThread, noThreadC} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}

// parseCrash reads what begins with beginsCrash.
func parseCrash(lines []string) (c Crash) {
	var words []string
	i := 0
	for ; i < len(lines) && !beginsStack(lines[i]); i++ {
		if w := strings.TrimSpace(lines[i]); w != "" {
			words = append(words, w)
		}
	}
	c.Words = strings.Join(words, " ")
	for i++; i+1 < len(lines) && lines[i] != ""; i++ {
		at, ok := strings.CutPrefix(lines[i+1], "\t")
		if !ok {
			continue
		}
		if fn, isCall := funcName(lines[i]); isCall {
			at, _, _ = strings.Cut(at, " ")
			c.Stack = append(c.Stack, Frame{fn, at})
		}
		i++
	}
	return c
}

// beginsStack recognises "goroutine 7 [running]:" and its like.
func beginsStack(line string) bool {
	return strings.HasPrefix(line, "goroutine ") && strings.HasSuffix(line, ":")
}

// register is a line of those that the runtime prints after a signal.
var register = regexp.MustCompile(`^[a-z][a-z0-9]* +0x[0-9a-f]+$`)

// ofCrash reports whether the runtime may have printed a line, after the first of a crash.
func ofCrash(line string) bool {
	for _, p := range []string{"\t", "created by ", "runtime", "...", "[", "PC=", "m=", "-----"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	_, isCall := funcName(line)
	return beginsCrash(line) || beginsStack(line) || isCall && strings.HasSuffix(line, ")") || register.MatchString(line)
}

// funcName takes the arguments off "pkg.Func(0x1, ...)". It reports false for
// "created by pkg.Func in goroutine 1".
func funcName(line string) (string, bool) {
	i := strings.LastIndexByte(line, '(')
	if i <= 0 || strings.HasPrefix(line, "created by ") {
		return "", false
	}
	return line[:i], true
}

// Handler returns the frames that are neither the standard library's nor the
// cell's, the innermost first.
func (c Crash) Handler() []Frame {
	return slices.DeleteFunc(slices.Clone(c.Stack), func(f Frame) bool {
		pkg := packageOf(f.Func)
		first, _, _ := strings.Cut(pkg, "/")
		switch {
		case strings.HasPrefix(pkg, "plugin/unnamed-"): // go build FILE.go
			return false
		case pkg == "main", strings.HasPrefix(pkg, "github.com/andrestc/go-plugserver/internal/"):
			return true
		}
		return slices.Contains(standard, first)
	})
}

// framesTold bounds the frames in one record.
const framesTold = 10

// Frames names those of Handler, the innermost first; "" if there are none.
func (c Crash) Frames() string {
	frames := c.Handler()
	var names []string
	for _, f := range frames[:min(len(frames), framesTold)] {
		names = append(names, f.String())
	}
	return strings.Join(names, " < ")
}

// packageOf is the package path of a symbol: dots after its last slash are
// escaped in it (cmd/internal/objabi, PathToPrefix).
func packageOf(fn string) string {
	slash := strings.LastIndexByte(fn, '/') + 1
	if dot := strings.IndexByte(fn[slash:], '.'); dot >= 0 {
		return fn[:slash+dot]
	}
	return fn
}

// standard are the first elements of the standard library's import paths.
var standard = []string{
	"archive", "bufio", "bytes", "cmp", "compress", "container", "context", "crypto", "database", "debug", "embed",
	"encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image", "index", "internal", "io", "iter",
	"log", "maps", "math", "mime", "net", "os", "path", "plugin", "reflect", "regexp", "runtime", "slices", "sort",
	"strconv", "strings", "structs", "sync", "syscall", "testing", "text", "time", "unicode", "unique", "unsafe",
	"vendor", "weak",
}
