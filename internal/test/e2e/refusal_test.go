package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/sys/unix"
)

// brokenSource fails in the way that its mode says. The mode is patched.
const brokenSource = `package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"unsafe"
)

var mode = "MODE:........................................"

func is(m string) bool { return strings.TrimRight(mode, ".") == "MODE:"+m }

var nowhere uintptr

func init() {
	switch {
	case is("init panics"):
		panic("a stone in the shoe")
	case is("init exits"):
		fmt.Println("leaving, and not sorry")
		os.Exit(0)
	case is("init logs fatal"):
		log.Fatal("no database")
	case is("init hangs"):
		fmt.Println("waiting for ever")
		select {}
	case is("init follows a wild pointer"):
		*(*int)(unsafe.Pointer(nowhere + 0x7f0000000001)) = 1
	case is("init starts what dies"):
		go func() { panic("in a goroutine") }()
		select {}
	case is("init floods"):
		for i := range 20000 {
			fmt.Println("line", i, strings.Repeat("x", 200))
		}
		os.Exit(3)
	}
}

func Start(ctx context.Context) error {
	switch {
	case is("Start errs"):
		return errors.New("no seat left\non two lines")
	case is("Start logs and exits"):
		slog.Error("cannot connect", "err", "no route to it")
		os.Exit(4)
	case is("Start panics"):
		panic("started badly")
	}
	return nil
}

func Handlers() map[string]http.Handler {
	switch {
	case is("Handlers panics"):
		var m map[string]int
		m["x"] = 1
	case is("nil map"):
		return nil
	case is("nil handler"):
		return map[string]http.Handler{"/broken": nil}
	case is("nil func"):
		return map[string]http.Handler{"/broken": http.HandlerFunc(nil)}
	case is("bad pattern"):
		return map[string]http.Handler{"GET broken": http.NotFoundHandler()}
	case is("empty pattern"):
		return map[string]http.Handler{"": http.NotFoundHandler()}
	case is("conflicts with itself"):
		return map[string]http.Handler{"/broken/{a}": http.NotFoundHandler(), "/broken/{b}": http.NotFoundHandler()}
	}
	return map[string]http.Handler{"/broken": http.NotFoundHandler()}
}
`

func broken(tb testing.TB, mode string) testbed.Plugin {
	tb.Helper()
	return testbed.Go(brokenSource).Build(tb).Patched(tb, "MODE:........................................", "MODE:"+mode)
}

// A replacement that fails in any way leaves the version before it serving.
// The refusal tells what is wrong and how to mend it, in the log and in
// status, until the file changes.
func TestRefusedReplacements(t *testing.T) {
	const maxSize = 64 << 20
	startTimeout := "1s"
	if testbed.Race {
		startTimeout = "5s" // all is slower
	}
	d := testbed.Start(t, testbed.Flags("--start-timeout", startTimeout, "--max-file-bytes", fmt.Sprint(maxSize)))
	good := plain(t, "/x", "x").Bytes
	dropped := func(p func(testing.TB) testbed.Plugin) func(*testing.T, string) {
		return func(t *testing.T, name string) { d.Drop(name, p(t)) }
	}
	mode := func(m string) func(*testing.T, string) {
		return dropped(func(tb testing.TB) testbed.Plugin { return broken(tb, m) })
	}
	source := func(text string, flags ...string) func(*testing.T, string) {
		return dropped(func(tb testing.TB) testbed.Plugin {
			return testbed.Source{Files: map[string]string{"main.go": text}, Flags: flags}.Build(tb)
		})
	}
	bytes := func(b []byte) func(*testing.T, string) {
		return dropped(func(testing.TB) testbed.Plugin { return testbed.NewPlugin(b) })
	}
	// exchange swaps the handler's file for something that no file can be
	// renamed to, or that is made in place.
	exchange := func(make func(path string) error) func(*testing.T, string) {
		return func(t *testing.T, name string) {
			temp := d.Path(name) + ".new"
			if err := make(temp); err != nil {
				t.Fatal(err)
			}
			if err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, d.Path(name), unix.RENAME_EXCHANGE); err != nil {
				t.Fatal(err)
			}
		}
	}
	arm := append([]byte(nil), good...)
	binary.LittleEndian.PutUint16(arm[18:], 183) // e_machine: EM_AARCH64

	for i, tt := range []struct {
		what   string
		apply  func(*testing.T, string)
		reason []string
		mend   string
	}{
		{"wrong signature", source("package main\n\nfunc Handler(n int) (string, error) { return \"/\", nil }\n"),
			[]string{"Handler has the wrong signature: got func(int) (string, error), want func() (string, func(http.ResponseWriter, *http.Request)) or "}, "declare it as func Handler() (string, func(http.ResponseWriter, *http.Request))"},
		{"handler is a variable", source("package main\n\nvar Handlers = map[string]int{}\n"),
			[]string{"Handlers has the wrong signature: got a variable of type map[string]int, want func() map[string]http.Handler"}, "declare it as func Handlers() map[string]http.Handler"},
		{"wrong Start", source("package main\n\nimport \"net/http\"\n\nfunc Start() {}\n\nfunc Handler() (string, http.Handler) { return \"/wrongstart\", http.NotFoundHandler() }\n"),
			[]string{"Start has the wrong signature: got func(), want func(context.Context) error"}, "declare it as func Start(context.Context) error"},
		{"no Handler", source("package main\n\nimport \"net/http\"\n\nvar Version = 1\n\nfunc Handel() (string, http.Handler) { return \"/\", nil }\n"),
			[]string{"exports neither Handler nor Handlers; it exports Handel, Version"}, "export from its package main"},
		{"both", source("package main\n\nimport \"net/http\"\n\nfunc Handler() (string, http.Handler) { return \"/\", nil }\n\nfunc Handlers() map[string]http.Handler { return nil }\n"),
			[]string{"exports both Handler and Handlers"}, "keep one"},
		{"other flags", source(fmt.Sprintf(helloSource, "trimmed"), "-trimpath"),
			[]string{"built with other flags than its cell", "have -trimpath, want no -trimpath"}, "go build -buildmode=plugin"},
		{"other tags", source(fmt.Sprintf(helloSource, "tagged"), "-tags=netgo"),
			[]string{"built with other flags than its cell", "-tags"}, "go build -buildmode=plugin"},
		{"a program", source("package main\n\nfunc main() {}\n", "-buildmode=exe"),
			[]string{"not a Go plugin", "buildmode"}, "go build -buildmode=plugin"},
		{"a C shared object", source("package main\n\nimport \"C\"\n\n//export Handler\nfunc Handler() {}\n\nfunc main() {}\n", "-buildmode=c-shared"),
			[]string{"not a Go plugin"}, "go build -buildmode=plugin"},

		{"init panics", mode("init panics"), []string{"ended before it was ready: exit status 2", "panic: a stone in the shoe"}, "no os.Exit, no log.Fatal, no panic"},
		{"init exits", mode("init exits"), []string{"ended before it was ready: exit status 0; it printed: leaving, and not sorry"}, "no os.Exit"},
		{"init logs fatal", mode("init logs fatal"), []string{"ended before it was ready: exit status 1; it printed: no database"}, "no log.Fatal"},
		{"Start logs and exits", mode("Start logs and exits"), []string{"ended before it was ready: exit status 4; it printed: cannot connect err=no route to it"}, "no os.Exit"},
		{"init hangs", mode("init hangs"), []string{"was not ready within " + startTimeout + " and was killed; it printed: waiting for ever"}, "wait for what is slow in a goroutine"},
		{"init follows a wild pointer", mode("init follows a wild pointer"), []string{"ended before it was ready", "SIGSEGV"}, "must return"},
		{"init starts what dies", mode("init starts what dies"), []string{"ended before it was ready", "in a goroutine"}, "must return"},
		{"init floods", mode("init floods"), []string{"ended before it was ready: exit status 3; it printed:", "line 19999"}, "must return"},
		{"Start errs", mode("Start errs"), []string{"Start returned an error: no seat left on two lines"}, "mend what Start needs"},
		{"Start panics", mode("Start panics"), []string{"Start panicked: started badly at ", "main.go:"}, "the whole stack is in the log"},
		{"Handlers panics", mode("Handlers panics"), []string{"Handlers panicked: assignment to entry in nil map at ", "main.go:"}, "the whole stack is in the log"},
		{"nil map", mode("nil map"), []string{"Handlers returned no pattern"}, "return at least one"},
		{"nil handler", mode("nil handler"), []string{`the handler of pattern "/broken" is nil`}, "return a function"},
		{"nil func", mode("nil func"), []string{`the handler of pattern "/broken" is nil`}, "return a function"},
		{"bad pattern", mode("bad pattern"), []string{`"GET broken"`}, "[METHOD ][HOST]/[PATH]"},
		{"empty pattern", mode("empty pattern"), []string{`pattern`}, "[METHOD ][HOST]/[PATH]"},
		{"conflicts with itself", mode("conflicts with itself"), []string{"/broken/{a}", "/broken/{b}", "conflict"}, "[METHOD ][HOST]/[PATH]"},

		{"truncated", bytes(good[:len(good)/2]), []string{fmt.Sprintf("file is half-copied: it ends at byte %d of ", len(good)/2)}, "copy it again"},
		{"empty", bytes(nil), []string{"file is empty"}, "copy it again"},
		{"text", bytes([]byte("#!/bin/sh\necho hello\n")), []string{"not an ELF shared object"}, "go build -buildmode=plugin"},
		{"another machine's", bytes(arm), []string{"built for another machine: have linux/arm64, want linux/amd64"}, "GOARCH=amd64"},
		{"too large", func(t *testing.T, name string) {
			temp := d.Temp(good)
			if err := os.Truncate(temp, maxSize+1); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(temp, d.Path(name)); err != nil {
				t.Fatal(err)
			}
		}, []string{"file is larger than the 64 MiB that a handler may have"}, "-ldflags=-s"},
		{"writable by others", func(t *testing.T, name string) {
			if err := os.Chmod(d.Path(name), 0o646); err != nil {
				t.Fatal(err)
			}
		}, []string{"file is writable by others"}, "chmod o-w "},
		{"symbolic link to a device", exchange(func(path string) error { return os.Symlink("/dev/null", path) }),
			[]string{"file is a device, not a regular file"}, "copy the handler's file there"},
		{"symbolic link to nowhere", exchange(func(path string) error { return os.Symlink("nowhere", path) }),
			[]string{"file is a symbolic link that leads nowhere"}, "copy the file there"},
		{"named pipe", exchange(func(path string) error { return unix.Mkfifo(path, 0o644) }),
			[]string{"file is a named pipe, not a regular file"}, "copy the handler's file there"},
		{"directory", exchange(func(path string) error { return os.Mkdir(path, 0o755) }),
			[]string{"file is a directory, not a regular file"}, "folders in it are not searched"},
		{"socket", exchange(func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				l.Close()
			}
			return err
		}), []string{"file is a socket, not a regular file"}, "copy the handler's file there"},
		{"another Go release's", func(t *testing.T, name string) {
			p, err := testbed.TryPlugin(testbed.Source{Files: map[string]string{"main.go": fmt.Sprintf(helloSource, "of old")}, Env: []string{"GOTOOLCHAIN=go1.25.4"}})
			if err != nil {
				t.Skipf("no other Go release to be had: %v", err)
			}
			d.Drop(name, p)
		}, []string{"built by another Go release: have go1.25.4, want go1.26"}, "GOTOOLCHAIN=go1.26"},
		{"one digit of the release", dropped(func(tb testing.TB) testbed.Plugin {
			return testbed.NewPlugin(patchRelease(tb, good))
		}), []string{"built by another Go release: have go9."}, "GOTOOLCHAIN=go1.26"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			name := fmt.Sprintf("h%02d", i)
			pattern := "/" + name
			first := plain(t, pattern, "the version before")
			d.Put(name, first)
			c := d.Dial()
			defer c.Close()
			serves := func(want string) {
				t.Helper()
				if a, err := c.Get(pattern); err != nil || string(a.Body) != want {
					t.Errorf("got %d %q %v, want %q", a.Status, a.Body, err, want)
				}
				d.Want(pattern, 200, want)
			}
			serves("the version before")
			before, _ := d.Handler(name)
			mark := d.Log.Len()

			tt.apply(t, name)

			e := d.WaitRefused(mark, name)
			if want := fmt.Sprintf("refused: %s.so; version %s goes on serving", name, first.Version); e.Msg() != want {
				t.Errorf("the log says %q, want %q", e.Msg(), want)
			}
			for _, want := range tt.reason {
				if !strings.Contains(e.Get("reason"), want) {
					t.Errorf("reason: got  %s\nwant %s", e.Get("reason"), want)
				}
			}
			if !strings.Contains(e.Get("mend"), tt.mend) {
				t.Errorf("mend: got  %s\nwant %s", e.Get("mend"), tt.mend)
			}
			serves("the version before")
			h, _ := d.Handler(name)
			if h.State != "live" || h.PID != before.PID || h.Version != first.Version || h.Refusal == nil ||
				h.Refusal.Reason != e.Get("reason") || strings.Join(append([]string{h.Refusal.Mend}, h.Refusal.Or...), "; or: ") != e.Get("mend") {
				t.Errorf("status: %+v", h)
			}
			errs, code := d.Reload()
			if code != 1 || !strings.Contains(errs, "refused "+name+": ") {
				t.Errorf("reload: exit %d: %s", code, errs)
			}
			again := 0
			for _, e := range d.Log.From(mark) {
				if e.Get("handler") == name && strings.HasPrefix(e.Msg(), "refused: ") {
					again++
				}
			}
			if again != 1 {
				t.Errorf("it was refused %d times", again)
			}

			// A good file ends it.
			if err := os.RemoveAll(d.Path(name) + ".new"); err != nil {
				t.Fatal(err)
			}
			if st, err := os.Lstat(d.Path(name)); err == nil && st.IsDir() {
				exchange(func(path string) error { return os.WriteFile(path, plain(t, pattern, "mended").Bytes, 0o644) })(t, name)
				d.WaitLive(mark, name, plain(t, pattern, "mended"))
				os.RemoveAll(d.Path(name) + ".new")
			} else {
				d.Put(name, plain(t, pattern, "mended"))
			}
			serves("mended")
			if h, _ := d.Handler(name); h.State != "live" || h.Refusal != nil {
				t.Errorf("status once it is mended: %+v", h)
			}
		})
	}
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
}

// patchRelease makes the build information name a release that does not exist.
func patchRelease(tb testing.TB, good []byte) []byte {
	tb.Helper()
	b := append([]byte(nil), good...)
	at := strings.Index(string(b), "\xff Go buildinf:")
	if at < 0 {
		tb.Fatal("no build information")
	}
	dot := strings.Index(string(b[at:at+64]), "go1.")
	if dot < 0 {
		tb.Fatal("no release in the build information")
	}
	b[at+dot+2] = '9'
	return b
}

// A name that no handler may have is refused in words that fit on a line.
func TestNamesThatCannotBe(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	for _, name := range []string{"a\nb", "-x", "a b", "é", "\x1b[31mred", strings.Repeat("n", 101)} {
		mark := d.Log.Len()
		d.Drop(name, plain(t, "/never", "never"))
		e := d.WaitLogFrom(mark, "refusal", func(e testbed.Entry) bool { return strings.HasPrefix(e.Msg(), "refused: ") })
		if !strings.Contains(e.Get("reason"), "cannot name a handler") || !strings.Contains(e.Get("mend"), "rename it") {
			t.Errorf("%q: %s", name, e.Raw)
		}
		out, _, _ := d.Ctl("status")
		for line := range strings.Lines(out) {
			if len([]rune(line)) > 101 || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\n\x1b") {
				t.Errorf("%q: status has the line %q", name, line)
			}
		}
		if errs, code := d.Reload(); code != 1 || !strings.Contains(errs, "cannot name a handler") || strings.Contains(errs, "\x1b") {
			t.Errorf("%q: reload: exit %d: %q", name, code, errs)
		}
		d.Remove(name)
		if errs, code := d.Reload(); code != 0 {
			t.Errorf("%q: reload once it is gone: exit %d: %q", name, code, errs)
		}
	}
	d.Want("/never", 404, "")
	d.Want("/calm", 200, "calm")
}

// A file that is cut anywhere waits quietly for its rest, and is refused when
// none comes. Nobody else is disturbed.
func TestTruncatedAnywhere(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	whole := plain(t, "/whole", "whole")
	size := len(whole.Bytes)
	le := binary.LittleEndian
	offsets := []int{0, 1, 3, 4, 15, 16, 17, 63, 64, 65, 119, 120, 4095, 4096, size / 3, size / 2, size - 4096, size - 65, size - 64, size - 63, size - 1}
	// Around the ends of its segments, and of its section headers.
	phoff, phnum := int(le.Uint64(whole.Bytes[32:])), int(le.Uint16(whole.Bytes[56:]))
	for i := range phnum {
		ph := whole.Bytes[phoff+56*i:]
		if end := int(le.Uint64(ph[8:]) + le.Uint64(ph[32:])); end > 0 && end < size {
			offsets = append(offsets, end-1, end)
		}
	}
	shoff := int(le.Uint64(whole.Bytes[40:]))
	for _, o := range []int{shoff - 1, shoff, shoff + 1, shoff + 64} {
		if o < size {
			offsets = append(offsets, o)
		}
	}
	before := d.Status().Daemon
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	began := make([]time.Time, len(offsets))
	mark := d.Log.Len()
	for i, o := range offsets {
		d.CopyInPlace(fmt.Sprintf("cut%02d", i), testbed.Plugin{Bytes: whole.Bytes[:o]})
		began[i] = time.Now()
	}
	// The same as a copy into a file that has its size already.
	ahead := append([]byte(nil), whole.Bytes[:size/2]...)
	d.CopyInPlace("ahead", testbed.Plugin{Bytes: append(ahead, make([]byte, size-size/2)...)})
	for i, o := range offsets {
		e := d.WaitRefused(mark, fmt.Sprintf("cut%02d", i))
		want := fmt.Sprintf("file is half-copied: it ends at byte %d", o)
		if o == 0 {
			want = "file is empty"
		}
		if !strings.Contains(e.Get("reason"), want) {
			t.Errorf("cut at %d of %d: %s", o, size, e.Get("reason"))
		}
		if waited := e.At.Sub(began[i]); waited < time.Second {
			t.Errorf("cut at %d of %d: it was refused after %v", o, size, waited)
		}
	}
	if e := d.WaitRefused(mark, "ahead"); !strings.Contains(e.Get("reason"), "half-copied") {
		t.Errorf("size without content: %s", e.Get("reason"))
	}
	// The rest of one arrives after all.
	f, err := os.OpenFile(d.Path("cut10"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	mark = d.Log.Len()
	if _, err := f.Write(whole.Bytes[offsets[10]:]); err != nil {
		t.Fatal(err)
	}
	f.Close()
	d.WaitLive(mark, "cut10", whole)
	d.Want("/whole", 200, "whole")
	after := d.Status().Daemon
	if after.PID != before.PID || after.GatePID != before.GatePID {
		t.Errorf("the daemon has changed: %+v, %+v", before, after)
	}
	load.Unharmed(t)
	t.Logf("%d offsets of %d bytes", len(offsets), size)
}

// What no cell loads is tried again whenever there are other cells, and told
// once, with the file's own name in what mends it.
func TestRefusedAgainIsToldOnce(t *testing.T) {
	d := testbed.Start(t)
	mark := d.Log.Len()
	d.Drop("old", testbed.NewPlugin(patchRelease(t, plain(t, "/old", "old").Bytes)))
	e := d.WaitRefused(mark, "old")
	if want := "plugserverctl cell build " + d.Path("old"); !strings.Contains(e.Get("mend"), want) {
		t.Errorf("mend %q, want %q", e.Get("mend"), want)
	}
	cells := filepath.Join(d.State, "cells")
	for i := range 3 {
		if err := os.MkdirAll(cells, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cells, fmt.Sprint("other", i)), []byte("no cell"), 0o755); err != nil {
			t.Fatal(err)
		}
		d.Reload()
	}
	refused := func() (n int) {
		for _, e := range d.Log.From(mark) {
			if e.Get("handler") == "old" && e.Get("event") == "refused" {
				n++
			}
		}
		return n
	}
	if n := refused(); n != 1 {
		t.Errorf("it was told %d times", n)
	}
	// Another file is another matter.
	next := d.Log.Len()
	d.Drop("old", testbed.NewPlugin(patchRelease(t, plain(t, "/old", "older").Bytes)))
	d.WaitRefused(next, "old")
}
