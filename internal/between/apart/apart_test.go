package apart

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"golang.org/x/sys/unix"
)

// Whoever cannot open the lent folder has nothing run: what a process in a sandbox can get of it is no proof.
func TestKeeperObeysTheSupervisorAlone(t *testing.T) {
	lentDir, other := t.TempDir(), t.TempDir()
	open := func(path string, flags int) *os.File {
		t.Helper()
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(fd), path)
	}
	file := filepath.Join(lentDir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		shows *os.File
		order order
		says  string
	}{
		{open(lentDir, unix.O_PATH), order{Version: version}, "is not open"},
		{open(other, unix.O_RDONLY), order{Version: version}, "is not " + lentDir},
		{open(file, unix.O_RDONLY), order{Version: version}, "is not " + lentDir},
		{open(lentDir, unix.O_RDONLY), order{Version: version + 1}, "restart plugserverd"},
		{open(lentDir, unix.O_RDONLY), order{Version: version, Path: lent + "cell", Folder: "../.."}, "cannot run its cell"}, // it is looked for below
	} {
		ours, theirs, err := wire.Pair()
		if err != nil {
			t.Fatal(err)
		}
		w, err := wire.FromFile(ours)
		if err != nil {
			t.Fatal(err)
		}
		if err := tell(w, start, c.order, c.shows, open(os.DevNull, unix.O_RDWR)); err != nil {
			t.Fatal(err)
		}
		err = Keeper{Lent: lentDir, Temp: other, Tell: func(string) {}}.Run(theirs)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
		if f, err := w.Recv(); err != nil || f.Kind != begun || !strings.Contains(string(f.Body), c.says) {
			t.Errorf("the supervisor is told %q, %v; want %q", f.Body, err, c.says)
		}
		w.Close()
		c.shows.Close()
	}
}

// A unit that ends before there is a process is nothing that a handler is to blame for: it is tried again.
func TestUnitThatFails(t *testing.T) {
	dir := t.TempDir()
	at := proc.Apart{Socket: filepath.Join(dir, "s"), Lent: filepath.Join(dir, "lent")}
	if err := Vacate(at.Lent); err != nil {
		t.Fatal(err)
	}
	old := unix.Umask(0o077) // as in the service: others have to find what is lent
	defer unix.Umask(old)
	try := func(says string) {
		t.Helper()
		c, err := Start(proc.Spec{Path: "/bin/true", Apart: at})
		var r *refusal.Error
		if c != nil || !errors.As(err, &r) || !refusal.Passing(err) || !strings.Contains(r.Reason, says) {
			t.Errorf("got %v, want one that passes, with %q", err, says)
		}
		if left, err := os.ReadDir(at.Lent); err != nil || len(left) > 0 {
			t.Errorf("%v are left, %v", left, err)
		}
	}
	try("no such file")
	l, err := net.Listen("unix", at.Socket)
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			c.Close()
		}
	}()
	try("no process came of")
	accepted := taken.Load()
	if _, err := Start(proc.Spec{Path: filepath.Join(dir, "none"), Apart: at}); err == nil {
		t.Error("a program that is not there was started")
	}
	try("no process came of")
	if n := taken.Load() - accepted; n != 1 { // its own
		t.Errorf("with nothing to run it was connected to, %d times", n-1)
	}
	l.Close()
	if os.Getuid() != 0 {
		if err := os.WriteFile(at.Socket, nil, 0o000); err != nil {
			t.Fatal(err)
		}
		try("permission denied")
	}
}

// Any process of the supervisor's user may connect: of who says nothing no process stays.
func TestWhoSaysNothingIsNotKept(t *testing.T) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	began := time.Now()
	err = Keeper{Lent: t.TempDir(), Temp: t.TempDir(), Tell: func(string) {}}.Run(theirs)
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "nobody says what to run") || took > 4*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
}

// What a keeper told too late is not told to who asks next.
func TestUsesIsOfNow(t *testing.T) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	unused, ofChild, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	ofChild.Close()
	c := &Child{pidfd: -1, usage: make(chan proc.Usage, 1), exited: make(chan struct{})}
	if c.link, err = link.New(unused); err != nil {
		t.Fatal(err)
	}
	if c.keeper, err = wire.FromFile(ours); err != nil {
		t.Fatal(err)
	}
	keeper, err := wire.FromFile(theirs)
	if err != nil {
		t.Fatal(err)
	}
	go c.hear()
	if u, err := c.Uses(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a keeper that says nothing: %+v, %v", u, err)
	}
	asked := func() {
		t.Helper()
		if f, err := keeper.Recv(); err != nil || f.Kind != ask {
			t.Errorf("the keeper got %q, %v", f.Kind, err)
		}
	}
	asked()
	tell(keeper, uses, proc.Usage{Threads: 1})
	for end := time.Now().Add(time.Minute); len(c.usage) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("its answer never came")
		}
	}
	go func() {
		asked()
		tell(keeper, uses, proc.Usage{Threads: 2})
	}()
	if u, err := c.Uses(); err != nil || u.Threads != 2 {
		t.Errorf("of now: %+v, %v", u, err)
	}
	keeper.Close()
	<-c.Exited()
}
