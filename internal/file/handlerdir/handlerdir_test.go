package handlerdir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/trust"
	"golang.org/x/sys/unix"
)

// start is when the tests' clock begins: the files that they write are old.
var start = time.Now().Add(time.Hour)

// A room is a handlers directory under test.
type room struct {
	t     testing.TB
	dir   string
	rules Rules
	asked int // how often a file's content was read
}

func newRoom(t testing.TB) *room {
	r := &room{t: t, dir: t.TempDir()}
	r.rules = Rules{
		MaxSize: 1 << 20,
		Quiet:   25 * time.Millisecond,
		Stalled: 2 * time.Second,
		Trust:   trust.Rules{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
		// A file is whole once it has the size that its first 8 bytes tell.
		Complete: func(f io.ReaderAt, size int64) (bool, int64, error) {
			r.asked++
			var head [8]byte
			if n, err := f.ReadAt(head[:], 0); err == io.EOF && n < len(head) {
				return false, 8, nil
			} else if err != nil {
				return false, 0, err
			}
			need := int64(binary.BigEndian.Uint64(head[:]))
			if need == 0 {
				return false, 0, &refusal.Error{Reason: "no plugin", Mend: "build one"}
			}
			return size >= need, need, nil
		},
	}
	return r
}

func (r *room) path(file string) string { return filepath.Join(r.dir, file) }

// write makes a file of size bytes that asks for need, last touched at mtime.
func (r *room) write(file string, size, need int, mtime time.Time) string {
	r.t.Helper()
	p := binary.BigEndian.AppendUint64(nil, uint64(need))
	p = append(p, make([]byte, max(0, size-8))...)
	if err := os.WriteFile(r.path(file), p[:size], 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chtimes(r.path(file), mtime, mtime); err != nil {
		r.t.Fatal(err)
	}
	return r.path(file)
}

func (r *room) scan(prev *Snapshot, now time.Time) *Snapshot {
	r.t.Helper()
	s, err := Scan(r.dir, r.rules, prev, now)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// verdicts sums a snapshot up, a line for each file.
func verdicts(s *Snapshot) string {
	var b strings.Builder
	for _, f := range s.Files {
		switch {
		case f.Refusal != nil && f.Settled:
			fmt.Fprintf(&b, "%s settled and refused\n", f.Name)
		case f.Refusal != nil:
			fmt.Fprintf(&b, "%s refused: %s\n", f.Name, f.Refusal.Reason)
		case f.Settled:
			fmt.Fprintf(&b, "%s settled\n", f.Name)
		default:
			fmt.Fprintf(&b, "%s waits\n", f.Name)
		}
	}
	return b.String()
}

func (r *room) want(s *Snapshot, lookAgain time.Duration, lines ...string) {
	r.t.Helper()
	want := ""
	for _, l := range lines {
		want += l + "\n"
	}
	if got := verdicts(s); got != want {
		r.t.Errorf("got\n%swant\n%s", got, want)
	}
	if s.LookAgain != lookAgain {
		r.t.Errorf("LookAgain = %v, want %v", s.LookAgain, lookAgain)
	}
}

func (r *room) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func TestScanPicksNames(t *testing.T) {
	r := newRoom(t)
	for _, ignored := range []string{".so", ".a.so", ".a.so.Xy12Zz", "a.so.part", "README", "a.SO", "so"} {
		r.write(ignored, 10, 10, start)
	}
	long := strings.Repeat("x", 100)
	for _, file := range []string{"a.so", "B-1_2.3.so", "9.so", long + ".so", long + "x.so", "-a.so", "a b.so", "é.so", "x\xff.so", `"q".so`, "a\n.so"} {
		r.write(file, 10, 10, start)
	}
	s := r.scan(nil, start.Add(time.Minute))
	bad := func(name string) string {
		return fmt.Sprintf("%s refused: file name %q cannot name a handler", strconv.QuoteToASCII(name), name+".so")
	}
	r.want(s, 0,
		bad("-a"), bad(`"q"`), bad("é"), bad("a b"), bad("a\n"), bad("x\xff"), bad(long+"x"),
		"9 settled", "B-1_2.3 settled", "a settled", long+" settled")
	for _, f := range s.Files {
		if f.Refusal == nil && f.Path != r.path(f.Name+".so") {
			t.Errorf("path of %s is %s", f.Name, f.Path)
		}
	}
}

func TestScanRefusesByKindAndMode(t *testing.T) {
	r := newRoom(t)
	const foreign = 4321
	r.write("good.so", 10, 10, start)
	r.must(os.Mkdir(r.path("dir.so"), 0o755))
	r.must(os.Symlink("good.so", r.path("link.so")))
	r.must(unix.Mkfifo(r.path("fifo.so"), 0o644))
	l, err := net.Listen("unix", r.path("sock.so"))
	r.must(err)
	defer l.Close()
	r.must(os.Chmod(r.write("others.so", 10, 10, start), 0o646))
	r.must(os.Chmod(r.write("group.so", 10, 10, start), 0o664))
	r.write("large.so", 1<<20+1, 10, start)
	r.write("fits.so", 1<<20, 10, start)
	lines := []string{
		"dir refused: file is a directory, not a regular file",
		"fifo refused: file is a named pipe, not a regular file",
		"fits settled",
		"good settled",
		"group settled", // the daemon's group may write
		"large refused: file is larger than the 1 MiB that a handler may have",
		"link settled",
		"others refused: file is writable by others",
		"sock refused: file is a socket, not a regular file",
	}
	r.want(r.scan(nil, start.Add(time.Minute)), 0, lines...)

	// Seen by another daemon, or with other owners, some are refused.
	if os.Getuid() == 0 {
		r.must(os.Chown(r.path("group.so"), 0, foreign))
		r.must(os.Chown(r.path("good.so"), foreign, 0))
		lines[3] = `good refused: file is owned by "4321", not by root`
		lines[4] = `group refused: file is writable by group "4321"`
		lines[6] = `link refused: file is owned by "4321", not by root`
		s := r.scan(nil, start.Add(time.Minute))
		r.want(s, 0, lines...)
		if got, want := s.Files[3].Refusal.Mend, "chown root "+r.path("good.so"); got != want {
			t.Errorf("mend is %q, want %q", got, want)
		}
		r.rules.Trust.UID = foreign
		r.rules.Trust.GID = foreign
		lines[3], lines[4], lines[6] = "good settled", "group settled", "link settled"
		r.want(r.scan(nil, start.Add(time.Minute)), 0, lines...)
		return
	}
	r.rules.Trust.GID++
	lines[4] = fmt.Sprintf("group refused: file is writable by group %q", trust.GroupName(r.rules.Trust.GID-1))
	r.want(r.scan(nil, start.Add(time.Minute)), 0, lines...)
	r.rules.Trust.UID++
	for _, f := range r.scan(nil, start.Add(time.Minute)).Files {
		if f.Name == "good" && (f.Refusal == nil || !strings.Contains(f.Refusal.Reason, "is owned by")) {
			t.Errorf("good is not refused: %v", f.Refusal)
		}
	}
}

func TestFileSettles(t *testing.T) {
	r := newRoom(t)
	r.write("a.so", 100, 100, start)
	s := r.scan(nil, start)
	r.want(s, 25*time.Millisecond, "a waits")
	s = r.scan(s, start.Add(24*time.Millisecond))
	r.want(s, time.Millisecond, "a waits")
	s = r.scan(s, start.Add(25*time.Millisecond))
	r.want(s, 0, "a settled")

	asked := r.asked
	s = r.scan(s, start.Add(26*time.Millisecond))
	r.want(s, 0, "a settled")
	if r.asked != asked {
		t.Error("a settled file was read again")
	}

	// Overwritten in place: it has to settle again.
	r.write("a.so", 100, 100, start.Add(30*time.Millisecond))
	s = r.scan(s, start.Add(40*time.Millisecond))
	r.want(s, 15*time.Millisecond, "a waits")
	// A finished old file renamed over it is settled at once.
	r.must(os.Rename(r.write("new", 200, 200, start), r.path("a.so")))
	s = r.scan(s, start.Add(41*time.Millisecond))
	r.want(s, 0, "a settled")
	if s.Files[0].ID.Size != 200 {
		t.Errorf("ID is %+v", s.Files[0].ID)
	}
	r.must(os.Remove(r.path("a.so")))
	r.want(r.scan(s, start.Add(42*time.Millisecond)), 0)
}

func TestHalfCopiedFileWaitsThenIsRefused(t *testing.T) {
	for _, tt := range []struct {
		size   int
		reason string
	}{
		{0, "file is empty"},
		{5, "file is half-copied: it ends at byte 5 of 8"},
		{60, "file is half-copied: it ends at byte 60 of 100"},
	} {
		t.Run(strconv.Itoa(tt.size), func(t *testing.T) {
			r := newRoom(t)
			r.write("a.so", tt.size, 100, start)
			// Following LookAgain from here leads to the verdict in few scans.
			now, scans := start, 0
			s := r.scan(nil, now)
			for s.LookAgain > 0 {
				r.want(s, s.LookAgain, "a waits")
				now = now.Add(s.LookAgain)
				s = r.scan(s, now)
				if scans++; scans > 12 {
					t.Fatalf("still waiting at %v", now.Sub(start))
				}
			}
			if now.Sub(start) != r.rules.Stalled {
				t.Errorf("verdict after %v, want %v", now.Sub(start), r.rules.Stalled)
			}
			r.want(s, 0, "a refused: "+tt.reason)
			asked := r.asked
			r.want(r.scan(s, now.Add(time.Hour)), 0, "a refused: "+tt.reason)
			if r.asked != asked {
				t.Error("a refused file was read again")
			}

			// The copy goes on after all.
			r.write("a.so", 80, 100, now)
			s = r.scan(s, now.Add(time.Millisecond))
			r.want(s, 25*time.Millisecond, "a waits")
			r.write("a.so", 100, 100, now)
			r.want(r.scan(s, now.Add(time.Second)), 0, "a settled")
		})
	}
}

func TestContentRefusalWaitsForRest(t *testing.T) {
	r := newRoom(t)
	r.write("a.so", 100, 0, start)
	s := r.scan(nil, start.Add(5*time.Millisecond))
	r.want(s, 20*time.Millisecond, "a waits")
	s = r.scan(s, start.Add(s.LookAgain+5*time.Millisecond))
	r.want(s, 0, "a refused: no plugin")
	if s.Files[0].Refusal.Mend != "build one" {
		t.Errorf("mend is %q", s.Files[0].Refusal.Mend)
	}
}

func TestMtimeInTheFuture(t *testing.T) {
	r := newRoom(t)
	r.write("whole.so", 100, 100, start.Add(time.Hour))
	r.write("half.so", 60, 100, start.Add(time.Hour))
	s := r.scan(nil, start)
	r.want(s, 25*time.Millisecond, "half waits", "whole waits")
	s = r.scan(s, start.Add(s.LookAgain))
	r.want(s, 25*time.Millisecond, "half waits", "whole settled")
	s = r.scan(s, start.Add(2*time.Second))
	r.want(s, 0, "half refused: file is half-copied: it ends at byte 60 of 100", "whole settled")
}

func TestModeChangeIsSeen(t *testing.T) {
	r := newRoom(t)
	r.write("a.so", 100, 100, start)
	r.must(os.Chmod(r.path("a.so"), 0o666))
	now := start.Add(time.Minute)
	s := r.scan(nil, now)
	r.want(s, 0, "a refused: file is writable by others")
	r.must(exec(t, s.Files[0].Refusal.Mend))
	s = r.scan(s, now)
	r.want(s, 0, "a settled")
	r.must(os.Chmod(r.path("a.so"), 0o666))
	r.want(r.scan(s, now), 0, "a refused: file is writable by others")
}

// exec does what the fix "chmod o-w PATH" says.
func exec(t *testing.T, mend string) error {
	path, ok := strings.CutPrefix(mend, "chmod o-w ")
	if !ok {
		t.Fatalf("mend is %q", mend)
	}
	return os.Chmod(path, 0o664)
}

// asNobody runs f without root's right to read everything.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	}
	f()
}

func TestUnreadable(t *testing.T) {
	r := newRoom(t)
	r.must(os.Chmod(filepath.Dir(r.dir), 0o755)) // TempDir's is 0700
	now := start.Add(time.Minute)
	path := r.write("a.so", 100, 100, start)
	r.must(os.Chmod(path, 0o200))
	var s *Snapshot
	asNobody(t, func() { s = r.scan(nil, now) })
	r.want(s, 0, "a refused: file cannot be read: permission denied")
	if want := "chmod g+r " + path; !strings.Contains(s.Files[0].Refusal.Mend, want) {
		t.Errorf("mend is %q, want %q in it", s.Files[0].Refusal.Mend, want)
	}
	if os.Getuid() == 0 {
		// Readable to whom it was not before, the file itself untouched.
		r.want(r.scan(s, now), 0, "a settled")
	}
	r.must(os.Chmod(path, 0o644))
	asNobody(t, func() { s = r.scan(s, now) })
	r.want(s, 0, "a settled")

	for _, mode := range []fs.FileMode{0o311, 0o444} { // not listable, not searchable
		r.must(os.Chmod(r.dir, mode))
		asNobody(t, func() {
			got, err := Scan(r.dir, r.rules, s, now)
			if got != nil || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "chgrp "+trust.GroupName(r.rules.Trust.GID)+" "+r.dir) {
				t.Errorf("mode %v: Scan = %v, %v", mode, got, err)
			}
		})
	}
	r.must(os.Chmod(r.dir, 0o755))
}

func TestScanOfNoDirectory(t *testing.T) {
	r := newRoom(t)
	r.must(unix.Mkfifo(r.path("fifo"), 0o644))
	for _, tt := range []struct {
		name string
		is   error
		text string
	}{
		{"missing", fs.ErrNotExist, "no such file or directory; create it with mkdir -p " + r.path("missing")},
		{"fifo", syscall.ENOTDIR, "not a directory; name a directory"},
	} {
		s, err := Scan(r.path(tt.name), r.rules, nil, start)
		if s != nil || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Scan of %s = %v, %v", tt.name, s, err)
		}
	}
}

func TestGone(t *testing.T) {
	r := newRoom(t)
	r.rules.Gone = 20 * time.Millisecond
	r.write("a.so", 100, 100, start)
	now := start.Add(time.Minute)
	s := r.scan(nil, now)
	r.must(os.Remove(r.path("a.so")))
	s = r.scan(s, now)
	r.want(s, 20*time.Millisecond, "a waits")
	missed := s
	s = r.scan(s, now.Add(15*time.Millisecond))
	r.want(s, 5*time.Millisecond, "a waits")
	r.want(r.scan(s, now.Add(20*time.Millisecond)), 0)

	r.write("a.so", 200, 200, start)
	r.want(r.scan(missed, now.Add(time.Millisecond)), 0, "a settled")
}

func TestSnapshotTellsDirectories(t *testing.T) {
	r := newRoom(t)
	first := r.scan(nil, start)
	r.must(os.Mkdir(r.path("other"), 0o755))
	second, err := Scan(r.path("other"), r.rules, first, start)
	r.must(err)
	if first.Dir.Ino == second.Dir.Ino || first.Dir.Dev != second.Dir.Dev {
		t.Errorf("%+v and %+v", first.Dir, second.Dir)
	}
}

func TestScanLeavesPrevAlone(t *testing.T) {
	r := newRoom(t)
	r.write("a.so", 100, 100, start)
	r.write("b.so", 50, 100, start)
	prev := r.scan(nil, start)
	held := *prev
	held.Files = append([]File(nil), prev.Files...)
	r.must(os.Remove(r.path("a.so")))
	r.rules.Gone = time.Second
	r.scan(prev, start.Add(time.Minute))
	if !reflect.DeepEqual(*prev, held) {
		t.Errorf("got  %v\nwant %v", *prev, held)
	}
}

func TestOpen(t *testing.T) {
	r := newRoom(t)
	now := start.Add(time.Minute)
	file := func() File { r.t.Helper(); return r.scan(nil, now).Files[0] }
	path := r.path("a.so")
	for name, change := range map[string]func(){
		"removed":    func() { r.must(os.Remove(path)) },
		"replaced":   func() { r.must(os.Rename(r.write("new", 100, 100, start), path)) },
		"written to": func() { r.write("a.so", 100, 100, start) },
		"linked":     func() { r.must(os.Rename(path, r.path("b"))); r.must(os.Symlink("b", path)) },
		"a fifo":     func() { r.must(os.Remove(path)); r.must(unix.Mkfifo(path, 0o644)) },
		"a socket": func() {
			r.must(os.Remove(path))
			l, err := net.Listen("unix", path)
			r.must(err)
			r.t.Cleanup(func() { l.Close() })
		},
	} {
		os.Remove(path)
		r.write("a.so", 100, 100, start)
		f := file()
		change()
		if got, err := Open(f); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: Open = %v, %v", name, got, err)
		}
	}

	os.Remove(path)
	r.write("a.so", 100, 100, start)
	f := file()
	fd, err := Open(f)
	r.must(err)
	defer fd.Close()
	if flags, err := unix.FcntlInt(fd.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags are %#x, %v", flags, err)
	}
	if got, err := io.ReadAll(fd); err != nil || len(got) != 100 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if same, err := Unchanged(fd, f.ID); err != nil || !same {
		t.Errorf("Unchanged = %v, %v after reading", same, err)
	}
	r.must(os.Remove(path)) // as a rename over it would
	if same, err := Unchanged(fd, f.ID); err != nil || same {
		t.Errorf("Unchanged = %v, %v after it was unlinked", same, err)
	}
}

// TestReplacedFileIsNeverAbsent renames over files while they are scanned: on
// tmpfs, if there is one, whose readdir misses some of them.
func TestReplacedFileIsNeverAbsent(t *testing.T) {
	const files = 600 // more than one getdents64(2) returns
	r := newRoom(t)
	if shm, err := os.MkdirTemp("/dev/shm", "handlerdir"); err == nil {
		t.Cleanup(func() { os.RemoveAll(shm) })
		r.dir = shm
	}
	for i := range files {
		r.write(fmt.Sprintf("h%d.so", i), 10, 10, start)
	}
	s := r.scan(nil, start)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			err := os.WriteFile(r.path(".new"), make([]byte, 10), 0o644)
			if err == nil {
				err = os.Rename(r.path(".new"), r.path(fmt.Sprintf("h%d.so", i*7%files)))
			}
			if err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 50 {
		if s = r.scan(s, start); len(s.Files) != files {
			t.Errorf("a scan found %d files of %d", len(s.Files), files)
			break
		}
	}
	close(stop)
	r.must(<-stopped)
}

func FuzzHandlerName(f *testing.F) {
	f.Add("a", "b")
	f.Add("é", "\xc3")
	f.Add(`"a"`, "a")
	f.Add("\ufffd", "\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := handlerName(a+".so", Plugin), handlerName(b+".so", Plugin)
		if (x == y) != (a == b) {
			t.Errorf("%q is %s and %q is %s", a, x, b, y)
		}
		if i := strings.IndexFunc(x, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 || x == "" && a != "" {
			t.Errorf("%q is %q", a, x)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	r := newRoom(b)
	for i := range 1000 {
		r.write(fmt.Sprintf("handler-%04d.so", i), 100, 100, start)
	}
	now := start.Add(time.Minute)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			r.scan(nil, now)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		prev := r.scan(nil, now)
		for b.Loop() {
			r.scan(prev, now)
		}
	})
}
