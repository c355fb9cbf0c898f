package main

import (
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// handlerSource does what its mode says. The mode is patched.
const handlerSource = `package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

var mode = "MODE:........................................"

func is(m string) bool { return strings.TrimRight(mode, ".") == "MODE:"+m }

func init() {
	switch {
	case is("panics"):
		panic("a stone\x1b[2J in the shoe")
	case is("hangs"):
		fmt.Println("waiting for ever")
		select {}
	}
}

func Start(context.Context) error {
	if is("falls") {
		panic("a stone in the way")
	}
	if is("errs") {
		fmt.Println("looking for\x1b[2J a seat")
		return errors.New("no seat left")
	}
	return nil
}

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{"/a": http.NotFoundHandler(), "GET /b/{x}": http.NotFoundHandler()}
}
`

// spySource tells, by being refused, what it can reach of whoever tries it:
// terminals, into which it types, the environment, the user.
const spySource = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"unsafe"
)

func Start(context.Context) error {
	typed := 0
	for fd := uintptr(0); fd < 64; fd++ {
		typed += keys(fd)
	}
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		typed += 1 + keys(tty.Fd())
	}
	secret, given := os.Getenv("SECRET"), os.Getenv("GIVEN")
	_, stdin := os.Stdin.Read(make([]byte, 1))
	return fmt.Errorf("typed %d, secret %q, given %q, stdin %v, root %v", typed, secret, given, stdin, os.Getuid() == 0 || os.Getgid() == 0)
}

// keys types a key into a terminal (TIOCSTI), and returns 1 if it is one.
func keys(fd uintptr) int {
	key := byte('x')
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, 0x5412, uintptr(unsafe.Pointer(&key))); errno == 0 {
		return 1
	}
	var size [4]uint16
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size))); errno == 0 {
		return 1
	}
	return 0
}

func Handler() (string, http.Handler) { return "/spy", http.NotFoundHandler() }
`

// plugins are what a script can build with "plugin KIND FILE".
var plugins = map[string]func(testbed.TB) testbed.Plugin{
	"good":   mode("good"),
	"other":  mode("other version"),
	"panics": mode("panics"),
	"hangs":  mode("hangs"),
	"errs":   mode("errs"),
	"falls":  mode("falls"),
	"flagged": func(tb testbed.TB) testbed.Plugin {
		return testbed.Source{Files: map[string]string{"main.go": handlerSource}, Flags: []string{"-trimpath"}}.Build(tb)
	},
	"netgo": func(tb testbed.TB) testbed.Plugin {
		return testbed.Source{Files: map[string]string{"main.go": handlerSource}, Flags: []string{"-tags=netgo"}}.Build(tb)
	},
	"spy":  func(tb testbed.TB) testbed.Plugin { return testbed.Go(spySource).Build(tb) },
	"mute": func(tb testbed.TB) testbed.Plugin { return testbed.Go("package main\n\nfunc Hander() {}\n").Build(tb) },
}

func mode(m string) func(testbed.TB) testbed.Plugin {
	return func(tb testbed.TB) testbed.Plugin {
		return testbed.Go(handlerSource).Build(tb).Patched(tb, "MODE:........................................", "MODE:"+m)
	}
}
