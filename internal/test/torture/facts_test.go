package torture

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
	"golang.org/x/sys/unix"
)

// facts are what package plugin and plugin files are known to do to a server
// that loads them into itself.
var facts = []fault{
	{"a plugin of another Go release", 1, func(a *arena) {
		b := []byte(strings.Clone(string(a.next("").Bytes)))
		at := strings.Index(string(b), "\xff Go buildinf:")
		dot := strings.Index(string(b[max(at, 0):]), "go1.")
		if at < 0 || dot < 0 {
			a.life.Fatalf("no release in the plugin")
		}
		b[at+dot+2] = '9'
		a.keepsServing("built by another Go release", func() { a.d.DropOld("victim", testbed.NewPlugin(b)) })
	}},
	{"a plugin built with other flags", 1, func(a *arena) {
		src := testbed.Go(strings.Replace(beastSource, "package main", "package main // trimmed", 1))
		src.Flags = []string{"-trimpath"}
		p := src.Build(a.life)
		a.keepsServing("other flags", func() { a.d.DropOld("victim", p) })
	}},
	{"a plugin that exports nothing", 1, func(a *arena) {
		p := testbed.Go("package main\n\nfunc main() {}\n").Build(a.life)
		a.keepsServing("exports neither", func() { a.d.DropOld("victim", p) })
	}},
	{"a truncated file over the one that is mapped", 1, func(a *arena) {
		p := a.next("")
		n := a.rng.IntN(len(p.Bytes))
		a.keepsServing("", func() { a.d.CopyInPlace("victim", testbed.NewPlugin(p.Bytes[:n])) })
	}},
	{"the mapped file overwritten in place", 2, func(a *arena) {
		a.may.victim = true
		for range 3 {
			p := a.next("")
			mark := a.d.Log.Len()
			a.d.CopyInPlace("victim", p)
			a.d.WaitLive(mark, "victim", p)
			a.serves(p)
		}
	}},
	{"a file written in pieces", 1, func(a *arena) {
		a.may.victim = true
		p := a.next("")
		mark := a.d.Log.Len()
		f, err := os.OpenFile(a.d.Path("victim"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			a.life.Fatalf("%v", err)
		}
		defer f.Close() // it may be closed already
		for b := p.Bytes; len(b) > 0; {
			n := min(len(b), 1+a.rng.IntN(len(p.Bytes)/4))
			if _, err := f.Write(b[:n]); err != nil {
				a.life.Fatalf("%v", err)
			}
			b = b[n:]
			time.Sleep(time.Duration(a.rng.IntN(60)) * time.Millisecond)
		}
		f.Close() // before that it is not whole
		a.d.WaitLive(mark, "victim", p)
		a.serves(p)
	}},
	{"the file deleted and made anew", 1, func(a *arena) {
		a.may.victim = true
		for range 3 {
			p := a.next("")
			mark := a.d.Log.Len()
			temp := a.d.Temp(p.Bytes)
			a.d.Remove("victim")
			if err := os.Rename(temp, a.d.Path("victim")); err != nil {
				a.life.Fatalf("%v", err)
			}
			a.d.WaitLive(mark, "victim", p)
			a.serves(p)
		}
	}},
	{"one plugin under many names", 1, func(a *arena) {
		// To package plugin they are one, already loaded.
		var names []string
		for i := range 8 {
			name := fmt.Sprintf("twin%d", i)
			names = append(names, name)
			a.d.DropOld(name, beast(a.life, "/"+name, name, ""))
		}
		a.guests(names)
	}},
	{"one pattern under many names", 1, func(a *arena) {
		p := a.next("")
		mark := a.d.Log.Len()
		for i := range 4 {
			name := fmt.Sprintf("rival%d", i)
			a.d.DropOld(name, p)
			a.d.WaitRefused(mark, name)
		}
		for i := range 4 {
			a.leave(fmt.Sprintf("rival%d", i))
		}
	}},
	{"different versions of one library, and one module path", 1, func(a *arena) {
		var names []string
		for name, src := range conflicting() {
			names = append(names, name)
			a.d.DropOld(name, src.Build(a.life))
		}
		a.guests(names)
	}},
	{"a plugin with libraries of its own", 1, func(a *arena) {
		p := testbed.Sample(a.life, "echo")
		a.d.Put("echo", p)
		a.leave("echo")
	}},
	{"twenty replacements in a row", 2, func(a *arena) {
		a.may.victim = true
		for range 20 {
			p := a.next("")
			mark := a.d.Log.Len()
			a.d.DropOld("victim", p)
			a.d.WaitLive(mark, "victim", p)
		}
	}},
	{"twenty replacements that nobody awaits", 2, func(a *arena) {
		a.may.victim = true
		var last testbed.Plugin
		mark := a.d.Log.Len()
		for range 20 {
			last = a.next("")
			a.d.DropOld("victim", last)
			time.Sleep(time.Duration(a.rng.IntN(20)) * time.Millisecond)
		}
		a.d.WaitLive(mark, "victim", last)
		a.serves(last)
	}},
	{"twenty handlers come and go at once", 1, func(a *arena) {
		var names []string
		for i := range 20 {
			name := fmt.Sprintf("many%02d", i)
			names = append(names, name)
			a.d.DropOld(name, beast(a.life, "/"+name, name, ""))
		}
		a.guests(names)
	}},
	exchanged("a named pipe", func(path string) error { return unix.Mkfifo(path, 0o644) }),
	exchanged("a symbolic link", func(path string) error { return os.Symlink("/dev/zero", path) }),
	exchanged("a folder", func(path string) error { return os.Mkdir(path, 0o755) }),
	exchanged("a socket", func(path string) error {
		l, err := net.Listen("unix", path)
		if err == nil {
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			l.Close()
		}
		return err
	}),
	{"a file that others may write", 1, func(a *arena) {
		a.keepsServing("writable by others", func() {
			if err := os.Chmod(a.d.Path("victim"), 0o666); err != nil {
				a.life.Fatalf("%v", err)
			}
		})
	}},
	{"the handlers directory is away", 1, func(a *arena) {
		if err := os.Rename(a.d.Handlers, a.d.Handlers+".away"); err != nil {
			a.life.Fatalf("%v", err)
		}
		a.d.Reload()
		a.recovers(time.Now())
		if err := os.Rename(a.d.Handlers+".away", a.d.Handlers); err != nil {
			a.life.Fatalf("%v", err)
		}
		if errs, code := a.d.Reload(); code != 0 {
			a.life.Errorf("reload: exit %d: %s", code, errs)
		}
	}},
	{"the victim is removed, and comes back", 1, func(a *arena) {
		// Its clients are told that there is no such page, for as long.
		for _, c := range a.crowds {
			if c.hurt {
				c.allowed = 1 << 30
			}
		}
		a.may.victim = true
		pid := a.cell()
		a.leave("victim")
		a.gone(pid)
		a.refresh()
	}},
	{"clients that misbehave", 2, func(a *arena) { a.rudeClients() }},
}

// keepsServing does what leads to a refusal for the reason, during which and
// after which the version before serves.
func (a *arena) keepsServing(reason string, break_ func()) {
	pid := a.cell()
	mark := a.d.Log.Len()
	break_()
	e := a.d.WaitRefused(mark, "victim")
	if !strings.Contains(e.Get("reason"), reason) || e.Get("mend") == "" {
		a.life.Errorf("refused, but: %s", e.Raw)
	}
	a.recovers(time.Now())
	if now := a.cell(); now != pid {
		a.life.Errorf("the cell was restarted")
	}
	a.refresh()
}

// exchanged swaps the victim's file for something that is none.
func exchanged(what string, make func(path string) error) fault {
	return fault{what + " in the file's place", 1, func(a *arena) {
		temp := a.d.Path("victim") + ".new"
		exchange := func() {
			if err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, a.d.Path("victim"), unix.RENAME_EXCHANGE); err != nil {
				a.life.Fatalf("%v", err)
			}
		}
		pid := a.cell()
		mark := a.d.Log.Len()
		if err := make(temp); err != nil {
			a.life.Fatalf("%v", err)
		}
		exchange()
		a.d.WaitRefused(mark, "victim")
		a.recovers(time.Now())
		exchange()
		if err := os.RemoveAll(temp); err != nil {
			a.life.Fatalf("%v", err)
		}
		if now := a.cell(); now != pid {
			a.life.Errorf("the cell was restarted")
		}
		a.refresh()
	}}
}

// serves checks that the victim answers with the version.
func (a *arena) serves(p testbed.Plugin) {
	h, _ := a.d.Handler("victim")
	if h.Version != p.Version {
		a.life.Errorf("version %s is live, want %s", h.Version, p.Version)
	}
	if s, b := a.d.Get("/victim"); s != 200 || b != number(a.version) {
		a.life.Errorf("got %d %q, want %q", s, b, number(a.version))
	}
}

// guests waits until the handlers, which were dropped, serve, and removes them.
func (a *arena) guests(names []string) {
	if errs, code := a.d.Reload(); code != 0 {
		a.life.Errorf("reload: exit %d: %s", code, errs)
	}
	for _, name := range names {
		if s, b := a.d.Get("/" + name); s != 200 {
			a.life.Errorf("%s: got %d %q", name, s, b)
		}
	}
	for _, name := range names {
		a.d.Remove(name)
	}
	a.d.Reload()
}

// leave removes a handler and waits until that is in force.
func (a *arena) leave(name string) {
	a.d.Remove(name)
	if errs, code := a.d.Reload(); code != 0 && name == "victim" {
		a.life.Errorf("reload: exit %d: %s", code, errs)
	}
}
