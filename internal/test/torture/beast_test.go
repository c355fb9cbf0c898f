package torture

import (
	"fmt"
	"sync"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// beastSource is every handler of an arena: it answers with its version, and
// does to its process what it is asked to. Its strings are patched, so that
// many versions of many handlers take one build.
const beastSource = `package main

/*
#include <stdlib.h>
static void segv(void) { *(volatile int *)8 = 1; }
static void bad_free(void) { char *p = malloc(64); free(p); free(p); abort(); }
*/
import "C"

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var (
	pattern = "PATTERN:........................................"
	version = "VERSION:................................"
	mode    = "MODE:................................"
)

func value(s string) string {
	_, v, _ := strings.Cut(s, ":")
	return strings.TrimRight(v, ".")
}

// nowhere hides a wild pointer from the compiler.
var nowhere uintptr

func init() { do(value(mode)) }

var held [][]byte

func Handlers() map[string]http.Handler {
	path, version := value(pattern), value(version)
	all := map[string]http.Handler{
		path: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, version)
		}),
		path + "/do/{what}": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			do(r.PathValue("what"))
			io.WriteString(w, "done")
		}),
	}
	switch value(mode) {
	case "wildcards":
		for i := range 3000 {
			all[fmt.Sprintf("/{x}%s/%d", path, i)] = all[path]
		}
	case "pattern":
		all[path+"/"+strings.Repeat("x", 16<<20-75)] = all[path]
	}
	return all
}

func do(what string) {
	switch what {
	case "", "wildcards", "pattern":
	case "panic":
		go panic("in a goroutine")
		select {}
	case "throw":
		m := map[int]int{}
		for range 4 {
			go func() {
				for i := 0; ; i++ {
					m[i%100] = i
				}
			}()
		}
		select {}
	case "overflow":
		debug.SetMaxStack(1 << 20)
		var f func(int) int
		f = func(n int) int { return f(n+1) + 1 }
		f(0)
	case "unsafe":
		*(*int)(unsafe.Pointer(nowhere + 0x7f0000000001)) = 1
	case "corrupt":
		// The runtime's own memory: what happens then is anyone's guess.
		p := uintptr(unsafe.Pointer(new([64]byte))) &^ (8<<10 - 1)
		for i := uintptr(0); i < 64<<10; i++ {
			*(*byte)(unsafe.Pointer(p + i)) = 0xa5
		}
		runtime.GC()
		os.Exit(9)
	case "cgo":
		C.segv()
	case "abort":
		C.bad_free()
	case "goexit":
		runtime.Goexit()
	case "exit":
		os.Exit(0)
	case "fatal":
		log.Fatal("no database")
	case "hang":
		select {}
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "stop":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Second) // another thread may get the signal, a little later
	case "close":
		for fd := 3; fd < 256; fd++ {
			syscall.Close(fd)
		}
	case "close output":
		syscall.Close(1)
		syscall.Close(2)
	case "chdir":
		if err := os.Chdir("/proc"); err != nil {
			panic(err)
		}
		syscall.Umask(0o777)
		os.Clearenv()
	case "ignore":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGURG)
	case "exec":
		syscall.Exec("/bin/sleep", []string{"sleep", "1000"}, os.Environ())
	case "child":
		c := exec.Command("/bin/sleep", "1000")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			panic(err)
		}
	case "flood":
		for i := range 20000 {
			fmt.Println("out", i)
			fmt.Fprintln(os.Stderr, "err", strings.Repeat("x", i%300))
			log.Println("log", i)
		}
	case "binary":
		for i := range 200 {
			os.Stdout.Write([]byte(strings.Repeat("\x00\xff\x1b[2J", i*10)))
		}
	case "hog":
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
			time.Sleep(2 * time.Millisecond)
		}
	case "threads":
		for range 50 {
			go func() { runtime.LockOSThread(); time.Sleep(time.Second) }()
		}
	case "spin":
		for range runtime.NumCPU() {
			go func() {
				for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
				}
			}()
		}
	default:
		panic("do " + what)
	}
}

func main() {}
`

const (
	patternSlot = "PATTERN:........................................"
	versionSlot = "VERSION:................................"
	modeSlot    = "MODE:................................"
)

var built = sync.OnceValues(func() (testbed.Plugin, error) {
	return testbed.TryPlugin(testbed.Source{Files: map[string]string{"main.go": beastSource}, Flags: []string{"-ldflags=-s"}})
})

func build(tb testbed.TB) testbed.Plugin {
	tb.Helper()
	p, err := built()
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return p
}

// beast is a handler of the path that answers with the version; mode is what
// it does when it is loaded.
func beast(tb testbed.TB, path, version, mode string) testbed.Plugin {
	tb.Helper()
	return build(tb).Patched(tb, patternSlot, "PATTERN:"+path, versionSlot, "VERSION:"+version, modeSlot, "MODE:"+mode)
}

func number(n int) string { return fmt.Sprintf("v%06d", n) }
