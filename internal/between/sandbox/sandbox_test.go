package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is the child: it tries what it is told, and prints what it got of each.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "try" {
		for _, what := range os.Args[2:] {
			words := strings.Split(what, " ")
			fmt.Println(try(words[0], words[1:]))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// try tries something, and returns the error or "ok".
func try(what string, args []string) string {
	err, known := errors.New("unknown"), tries[what]
	if known != nil {
		err = known(args)
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func sys(number uintptr, args ...uintptr) error {
	a := append(args, 0, 0, 0, 0, 0, 0)
	if _, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func number(s string) uintptr {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return uintptr(n)
}

var tries = map[string]func([]string) error{
	"read":  func(a []string) error { _, err := os.ReadFile(a[0]); return err },
	"list":  func(a []string) error { _, err := os.ReadDir(a[0]); return err },
	"write": func(a []string) error { return os.WriteFile(a[0], []byte("x"), 0o600) },
	"trunc": func(a []string) error { return os.Truncate(a[0], 0) },
	"empty": func(a []string) error { // flags that say no more than "for reading"
		flags, err := strconv.ParseInt(a[1], 0, 0)
		if err == nil {
			_, err = unix.Open(a[0], int(flags)|unix.O_TRUNC, 0)
		}
		return err
	},
	"mkdir":  func(a []string) error { return os.Mkdir(a[0], 0o700) },
	"remove": func(a []string) error { return os.Remove(a[0]) },
	"link":   func(a []string) error { return os.Link(a[0], a[1]) },
	"rename": func(a []string) error { return os.Rename(a[0], a[1]) },
	"move": func(a []string) error { // within what it may write
		if err := os.Mkdir(a[0]+"/sub", 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(a[0]+"/f", nil, 0o600); err != nil {
			return err
		}
		return os.Rename(a[0]+"/f", a[0]+"/sub/f")
	},
	"chmod":  func(a []string) error { return os.Chmod(a[0], 0o777) },
	"fchmod": func(a []string) error { f, err := os.Open(a[0]); return errors.Join(err, f.Chmod(0o777)) },
	"xattr":  func(a []string) error { return unix.Setxattr(a[0], "user.x", []byte("x"), 0) },
	"bind":   func([]string) error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err },
	"dial":   func(a []string) error { _, err := net.Dial(a[0], a[1]); return err },
	"exec": func([]string) error {
		out, err := exec.Command("/bin/sh", "-c", "echo hi > /dev/null; echo hello").Output()
		if err == nil && string(out) != "hello\n" {
			err = fmt.Errorf("it printed %q", out)
		}
		return err
	},
	"kill":      func(a []string) error { return sys(unix.SYS_KILL, number(a[0]), 0) },
	"killself":  func([]string) error { return sys(unix.SYS_KILL, uintptr(os.Getpid()), 0) },
	"killchild": killChild,
	"prlimit":   func(a []string) error { return sys(unix.SYS_PRLIMIT64, number(a[0]), unix.RLIMIT_NOFILE) },
	"ptrace":    func(a []string) error { return sys(unix.SYS_PTRACE, unix.PTRACE_SEIZE, number(a[0])) },
	"vmread":    func(a []string) error { return sys(unix.SYS_PROCESS_VM_READV, number(a[0])) },
	"unshare":   func([]string) error { return sys(unix.SYS_UNSHARE, unix.CLONE_NEWUSER) },
	"unsharefs": func([]string) error { return sys(unix.SYS_UNSHARE, unix.CLONE_FS) },
	"iouring":   func([]string) error { return sys(unix.SYS_IO_URING_SETUP, 1) },
	"clone3":    func([]string) error { return sys(unix.SYS_CLONE3) },
	"nice":      func(a []string) error { return sys(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, number(a[0]), 1) },
	"niceself":  func([]string) error { return sys(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, 19) },
	"socket":    func(a []string) error { return sys(unix.SYS_SOCKET, number(a[0]), unix.SOCK_DGRAM) },
	"temp": func([]string) error {
		f, err := os.CreateTemp("", "")
		if err == nil {
			_, err = f.WriteString("x")
		}
		return err
	},
}

func killChild([]string) error {
	c := exec.Command("/bin/sleep", "600")
	if err := c.Start(); err != nil {
		return err
	}
	err := c.Process.Kill()
	c.Wait()
	return err
}

// confined has a child try things within rules, one after the other, and compares what it got
// with what comes first of each.
func confined(t *testing.T, r Rules, tries ...[2]string) {
	t.Helper()
	confinedOn(t, Kernel(), r, tries...)
}

// confinedOn is confined on a kernel that can so much.
func confinedOn(t *testing.T, can Can, r Rules, tries ...[2]string) {
	t.Helper()
	var out strings.Builder
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, r := exec.Command(self, "try"), *r.Reading(self)
	for _, try := range tries {
		c.Args = append(c.Args, try[1])
	}
	c.Stdout, c.Stderr = &out, &out
	for _, dir := range r.Write {
		c.Env = append(c.Env, "TMPDIR="+dir)
	}
	if err := r.startOn(can, c.Start); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	got := append(strings.Split(out.String(), "\n"), make([]string, len(tries))...)
	for i, try := range tries {
		if got[i] != try[0] {
			t.Errorf("%s: %s, not %s", try[1], got[i], try[0])
		}
	}
}

// room is a folder with one of a child's own, and one that is hidden from it.
func room(t *testing.T) (rules Rules, own, hidden string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	own, hidden = filepath.Join(dir, "own"), filepath.Join(dir, "hidden")
	for _, path := range []string{own, hidden, filepath.Join(dir, "beside")} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "file"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(hidden, filepath.Join(dir, "way")); err != nil {
		t.Fatal(err)
	}
	return Rules{Hide: []string{filepath.Join(dir, "way")}, Write: []string{own}}, own, hidden
}

func whole(t *testing.T) {
	t.Helper()
	if lacks := Kernel().Lacks(); lacks != nil {
		t.Fatalf("this kernel does not confine %q", lacks) // tests say what holds where all does
	}
}

// What a child may do within rules, and what not.
func TestSandbox(t *testing.T) {
	whole(t)
	r, own, hidden := room(t)
	dir := filepath.Dir(own)
	abstract, err := net.Listen("unix", "@"+dir)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	beside, file, me := filepath.Join(dir, "beside"), "/file", strconv.Itoa(os.Getpid())
	confined(t, r, [][2]string{
		{"ok", "read " + own + file},
		{"ok", "read " + beside + file},
		{"ok", "read /etc/hosts"},
		{"ok", "read /proc/self/status"},
		{"ok", "list " + beside},
		{"ok", "write " + own + "/new"},
		{"ok", "write /dev/null"},
		{"ok", "mkdir " + own + "/dir"},
		{"ok", "trunc " + own + file},
		{"ok", "move " + own},
		{"ok", "temp"},
		{"ok", "exec"},
		{"ok", "dial tcp " + tcp.Addr().String()},
		{"ok", "killself"},
		{"ok", "killchild"},
		{"ok", "prlimit 0"},
		{"ok", "niceself"},
		{"ok", "unsharefs"},
		{"ok", "socket 1"},
		{"ok", "socket 10"},
		{"EACCES", "read " + hidden + file},
		{"EACCES", "read " + dir + "/way" + file},
		{"EACCES", "read /proc/" + me + "/environ"},
		{"EACCES", "read /proc/" + me + "/mem"},
		{"EACCES", "list " + hidden},
		{"EACCES", "list /dev/shm"},
		{"EACCES", "write " + beside + file},
		{"EACCES", "write " + hidden + "/new"},
		{"EACCES", "write /dev/shm/x"},
		{"EACCES", "write /proc/self/oom_score_adj"},
		{"EACCES", "trunc " + beside + file},
		{"EACCES", "mkdir " + dir + "/dir"},
		{"EACCES", "remove " + beside + file},
		{"EACCES", "rename " + beside + file + " " + beside + "/other"},
		{"EXDEV", "link " + hidden + file + " " + own + "/linked"},
		{"EPERM", "chmod " + hidden},
		{"EPERM", "fchmod " + beside + file},
		{"EPERM", "xattr " + hidden},
		{"EACCES", "bind"},
		{"EPERM", "dial unix @" + dir},
		{"EPERM", "kill " + me},
		{"EPERM", "prlimit " + me},
		{"EPERM", "ptrace " + me},
		{"EPERM", "vmread " + me},
		{"EPERM", "nice " + me},
		{"EPERM", "unshare"},
		{"EPERM", "iouring"},
		{"ENOSYS", "clone3"},
		{"EAFNOSUPPORT", "socket 17"}, // AF_PACKET
	}...)
	confined(t, Rules{Families: []int{unix.AF_INET}}, [2]string{"EAFNOSUPPORT", "socket 1"})
	confined(t, Rules{Open: true}, [2]string{"ok", "bind"})
	if err := os.WriteFile(beside+"/x", nil, 0o600); err != nil || try("bind", nil) != "ok" || try("iouring", nil) == "EPERM" {
		t.Error("we are confined ourselves") // a thread is left that is
	}
}

// What may be read alone is not emptied by opening it, on a kernel neither whose Landlock does not see that.
func TestNothingIsEmptied(t *testing.T) {
	whole(t)
	r, own, _ := room(t)
	beside := filepath.Join(filepath.Dir(own), "beside", "file")
	for _, can := range []Can{Kernel(), {Landlock: 2, Seccomp: true}} { // that of Debian 12, Linux 6.1
		denied := "EACCES"
		if can.Landlock < hasTrunc {
			denied = "EPERM"
		}
		confinedOn(t, can, r,
			[2]string{"ok", "read " + beside}, [2]string{denied, "trunc " + beside},
			[2]string{denied, "empty " + beside + " 0"}, [2]string{denied, "empty " + beside + " 3"},
			[2]string{"EACCES", "empty " + beside + " 1"}, [2]string{"EACCES", "write " + beside},
			[2]string{"ok", "write " + own + "/file"}, [2]string{"ok", "empty " + own + "/file 2"}, [2]string{"ok", "temp"})
		if text, err := os.ReadFile(beside); string(text) != "secret" {
			t.Errorf("with %+v the file has %q: %v", can, text, err)
		}
	}
}

// What is granted may lie in what is hidden, and what is hidden in what is granted.
func TestGrants(t *testing.T) {
	whole(t)
	r, own, hidden := room(t)
	dir := filepath.Dir(own)
	r.Read = []string{hidden + "/file"}
	r.Write = []string{dir}
	confined(t, r, [][2]string{
		{"ok", "read " + hidden + "/file"},
		{"ok", "read " + dir + "/way/file"},
		{"EACCES", "write " + hidden + "/file"},
		{"EACCES", "list " + hidden},
		{"ok", "write " + own + "/new"},
		{"ok", "write " + dir + "/beside/new"},
	}...)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	confined(t, r, [][2]string{ // as /tmp is
		{"ok", "read " + hidden + "/file"},
		{"EACCES", "write " + hidden + "/file"},
		{"EACCES", "read " + dir + "/beside/file"},
	}...)
	r.Read = append(r.Read, dir+"/beside")
	confined(t, r, [2]string{"ok", "read " + dir + "/beside/file"})
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r.Write = []string{"-" + dir + "/missing"}
	confined(t, r, [2]string{"ok", "read " + own + "/file"})
	r.Write = []string{dir + "/missing"}
	if err := r.Start(func() error { t.Error("started"); return nil }); err == nil || !strings.Contains(err.Error(), dir+"/missing: no such file or directory; make ") {
		t.Errorf("what is not there is granted: %v", err)
	}
}

// What is made or replaced in a folder that holds something hidden makes other rules of the same words.
func TestStamp(t *testing.T) {
	whole(t)
	r, _, hidden := room(t)
	etc := filepath.Dir(hidden)
	stamps := func() [2]string { return [...]string{r.Stamp(), r.withSystem(etc).System} }
	put := func(path string) {
		if err := errors.Join(os.WriteFile(path+".new", nil, 0o600), os.Rename(path+".new", path)); err != nil {
			t.Fatal(err)
		}
	}
	put(etc + "/resolv.conf")
	confined(t, r, [2]string{"ok", "read " + etc + "/resolv.conf"})
	was := stamps()
	if was != stamps() || was[1] == "" {
		t.Errorf("%q, then %q", was, stamps())
	}
	put(hidden + "/new")
	put(etc + "/beside/new")
	if now := stamps(); now != was {
		t.Errorf("what changes in folders that are hidden or granted whole: %q, then %q", was, now)
	}
	put(etc + "/resolv.conf")
	if now := stamps(); now[0] == was[0] || now[1] == was[1] {
		t.Errorf("another file of the name: %q, then %q", was, now)
	}
	was = stamps()
	put(etc + "/other")
	if now := stamps(); now[0] == was[0] || now[1] != was[1] {
		t.Errorf("a file that no library reads by itself: %q, then %q", was, now)
	}
	r.Hide = nil
	if r.withSystem(etc).System != "" {
		t.Error("nothing of it is hidden, and it matters")
	}
}

// A folder is read again once it is in another state, and one that has changed just now whenever it is asked for.
func TestList(t *testing.T) {
	dir := t.TempDir()
	names := func() (all []string) {
		entries, _, err := list(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if got := names(); len(got) > 0 {
		t.Errorf("%q are in an empty folder", got)
	}
	if _, known := listings.Load(dir); known {
		t.Error("a new folder is known")
	}
	make := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	make("a")
	if got := names(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q are there, and a is", got)
	}
	var is unix.Stat_t
	if err := unix.Stat(dir, &is); err != nil {
		t.Fatal(err)
	}
	defer listings.Delete(dir)
	listings.Store(dir, listing{dev: uint64(is.Dev), ino: is.Ino, mtime: is.Mtim, ctime: is.Ctim})
	if got := names(); len(got) > 0 {
		t.Errorf("%q were read again", got)
	}
	for time.Now().UnixNano() < is.Ctim.Nano()+int64(20*time.Millisecond) { // until a change has another time
	}
	make("b")
	if got := names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q are there, and a and b are", got)
	}
	if _, _, err := list("/usr"); err != nil {
		t.Fatal(err)
	}
	if _, known := listings.Load("/usr"); !known {
		t.Error("an old folder is not known")
	}
	if _, _, err := list("/sys"); err != nil {
		t.Fatal(err)
	}
	if _, known := listings.Load("/sys"); known {
		t.Error("a folder is known whose times tell nothing")
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	if _, _, err := list(loop); err == nil || !strings.Contains(err.Error(), loop) {
		t.Errorf("of what cannot be looked at: %v", err)
	}
}

// The first thread is never confined.
func TestFirstThread(t *testing.T) {
	end, held := make(chan bool), make(chan int)
	defer close(end)
	for range 64 { // all that there are
		go onThread(func() error { held <- unix.Gettid(); <-end; return nil })
		if <-held == os.Getpid() {
			t.Fatal("the first thread was taken")
		}
	}
}

func TestLacks(t *testing.T) {
	for _, c := range []struct {
		can  Can
		want int
	}{{Can{7, true}, 0}, {Can{6, true}, 0}, {Can{4, true}, 1}, {Can{2, true}, 2}, {Can{2, false}, 3}, {Can{0, false}, 1}} {
		if got := c.can.Lacks(); len(got) != c.want {
			t.Errorf("%+v lacks %q", c.can, got)
		}
	}
}

func BenchmarkRuleset(b *testing.B) {
	r := Rules{Hide: []string{"/var/lib/plugserver", "/etc/plugserver/plugserverd.conf", "/run/credentials"}}
	for b.Loop() {
		set, err := r.ruleset(Kernel())
		if err != nil {
			b.Fatal(err)
		}
		unix.Close(set)
	}
}

// What a start costs, with a sandbox and without.
func BenchmarkStart(b *testing.B) {
	for name, r := range map[string]Rules{
		"open":     {Open: true},
		"confined": {Hide: []string{"/var/lib/plugserver", "/etc/plugserver/plugserverd.conf", "/run/credentials"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c := exec.Command("/bin/true")
				if err := r.Start(c.Start); err != nil {
					b.Fatal(err)
				}
				c.Wait()
			}
		})
	}
}
