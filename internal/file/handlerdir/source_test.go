package handlerdir

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"golang.org/x/sys/unix"
)

const sourceQuiet = 100 * time.Millisecond

// newSourceRoom is a room that looks for source. A ctime is not a test's to
// set: at start all is old; hours before it, it is ahead of the clock, and what
// has been seen unchanged is all that counts.
func newSourceRoom(t testing.TB) *room {
	r := newRoom(t)
	r.rules.SourceQuiet = sourceQuiet
	return r
}

// put makes files with their folders; a name that ends with a slash is a
// folder's.
func (r *room) put(files ...string) {
	r.t.Helper()
	for _, file := range files {
		if strings.HasSuffix(file, "/") {
			r.must(os.MkdirAll(r.path(file), 0o755))
			continue
		}
		r.must(os.MkdirAll(filepath.Dir(r.path(file)), 0o755))
		r.must(os.WriteFile(r.path(file), []byte("package main\n"), 0o644))
	}
}

func (r *room) same(f File, want bool) {
	r.t.Helper()
	if same, err := Same(f, r.rules); err != nil || same != want {
		r.t.Errorf("Same of %s = %v, %v, want %v", f.Name, same, err, want)
	}
}

func TestScanPicksSource(t *testing.T) {
	r := newSourceRoom(t)
	r.write("p.so", 10, 10, start)
	r.put("file.go", "pkg/main.go", "deep/a/b/c.go", "deep/main.go", "only-c/main.c", "tests/a_test.go", "empty/",
		"nested/sub/main.go", "names/x.go/y.go", "skipped/_x.go", "skipped/.y.go", "skipped/#z.go#", "skipped/z.go~",
		"_lib/main.go", "_file.go", ".hid/main.go", ".hid.go", "a_test.go", "b.go~", "#c.go#", "old~/main.go", "4913",
		"README", "bad name/main.go", "-.go", "dir.go/main.go", "plain.go/x.txt", "v1.2/main.go")
	r.must(os.Symlink("pkg", r.path("link")))
	r.must(os.Symlink("file.go", r.path("link.go")))
	r.must(unix.Mkfifo(r.path("fifo"), 0o644))
	now := start.Add(time.Minute)
	s := r.scan(nil, now)
	r.want(s, 0,
		`"-" refused: file name "-.go" cannot name a handler`,
		`"bad name" refused: file name "bad name" cannot name a handler`,
		"deep settled",
		"dir refused: folder dir.go is named like a Go file",
		"file settled",
		"link settled",
		"p settled", "pkg settled", "v1.2 settled")
	kinds := map[string]Kind{"p": Plugin, "file": GoFile, "pkg": GoPackage, "deep": GoPackage}
	for _, f := range s.Files {
		if k, ok := kinds[f.Name]; ok && f.Kind != k {
			t.Errorf("%s is of kind %d, want %d", f.Name, f.Kind, k)
		}
		if f.Settled {
			r.same(f, true)
		}
	}

	r.rules.SourceQuiet = 0
	r.want(r.scan(nil, now), 0, "p settled")
}

func TestSourceSettles(t *testing.T) {
	r := newSourceRoom(t)
	r.put("a.go", "b/main.go")
	// With times ahead of the clock, only what is seen counts.
	begin := start.Add(-2 * time.Hour)
	s := r.scan(nil, begin)
	r.want(s, sourceQuiet, "a waits", "b waits")
	s = r.scan(s, begin.Add(60*time.Millisecond))
	r.want(s, 40*time.Millisecond, "a waits", "b waits")
	r.put("b/other.go")
	s = r.scan(s, begin.Add(sourceQuiet))
	r.want(s, sourceQuiet, "a settled", "b waits")
	s = r.scan(s, begin.Add(2*sourceQuiet))
	r.want(s, 0, "a settled", "b settled")

	// With the clock's own times, what is old is settled at once.
	r.want(r.scan(nil, start), 0, "a settled", "b settled")
	var st unix.Stat_t
	r.must(unix.Lstat(r.path("b"), &st))
	touched := time.Unix(0, st.Ctim.Nano()) // other.go was made later than all else
	fresh := r.scan(nil, touched.Add(sourceQuiet-time.Millisecond))
	for _, f := range fresh.Files {
		if f.Name == "b" && f.Settled {
			t.Errorf("b is settled before it is at rest: %+v", f)
		}
	}
}

func TestTreeStates(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*room) error
		same   bool
	}{
		{"nothing", func(r *room) error { return nil }, true},
		{"written to", func(r *room) error { return os.WriteFile(r.path("a/sub/x.txt"), []byte("two"), 0o644) }, false},
		{"rewritten alike", func(r *room) error { return os.WriteFile(r.path("a/main.go"), []byte("package main\n"), 0o644) }, false},
		{"touched back", func(r *room) error { return os.Chtimes(r.path("a/main.go"), start, start) }, false},
		{"replaced", func(r *room) error { return os.Rename(r.path("new"), r.path("a/main.go")) }, false},
		{"a file more", func(r *room) error { return os.WriteFile(r.path("a/sub/y"), nil, 0o644) }, false},
		{"a folder more", func(r *room) error { return os.Mkdir(r.path("a/sub/y"), 0o755) }, false},
		{"a file with a newline more", func(r *room) error { return os.WriteFile(r.path("a/y\nz"), nil, 0o644) }, false},
		{"a file less", func(r *room) error { return os.Remove(r.path("a/sub/x.txt")) }, false},
		{"a file elsewhere", func(r *room) error { return os.Rename(r.path("a/sub/x.txt"), r.path("a/x.txt")) }, false},
		{"a folder renamed", func(r *room) error { return os.Rename(r.path("a/sub"), r.path("a/bus")) }, false},
		{"another mode of a file", func(r *room) error { return os.Chmod(r.path("a/main.go"), 0o600) }, false},
		{"another mode of a folder", func(r *room) error { return os.Chmod(r.path("a/sub"), 0o700) }, false},
		{"another mode of the top", func(r *room) error { return os.Chmod(r.path("a"), 0o700) }, false},
		{"writable by others", func(r *room) error { return os.Chmod(r.path("a/main.go"), 0o666) }, false},
		{"removed", func(r *room) error { return os.RemoveAll(r.path("a")) }, false},
		{"replaced as a whole", func(r *room) error {
			return errors.Join(os.Rename(r.path("a"), r.path("b")), os.Rename(r.path("other"), r.path("a")))
		}, false},
		{"a link to itself", func(r *room) error {
			return errors.Join(os.Rename(r.path("a"), r.path("b")), os.Symlink("b", r.path("a")))
		}, false},
		{"no Go left", func(r *room) error { return os.Remove(r.path("a/main.go")) }, false},

		{"a hidden file", func(r *room) error { return os.WriteFile(r.path("a/.main.go.swp"), nil, 0o666) }, true},
		{"another of Vim's", func(r *room) error { return os.WriteFile(r.path("a/.main.go.swx"), nil, 0o666) }, true},
		{"what GTK writes", func(r *room) error { return os.WriteFile(r.path("a/.goutputstream-X1Y2Z3"), nil, 0o666) }, true},
		{"version control", func(r *room) error { return os.MkdirAll(r.path("a/.git/x"), 0o777) }, true},
		{"version control's file", func(r *room) error { return os.WriteFile(r.path("a/sub/.git"), nil, 0o666) }, true},
		{"a hidden link to nowhere", func(r *room) error { return os.Symlink("nowhere", r.path("a/.venv")) }, true},
		{"a hidden file that is embedded", func(r *room) error { return os.WriteFile(r.path("a/.env"), nil, 0o644) }, false},
		{"one named like a swap file", func(r *room) error { return os.WriteFile(r.path("a/.swp"), nil, 0o644) }, false},
		{"a hidden folder", func(r *room) error { return os.MkdirAll(r.path("a/.hidden/x"), 0o755) }, false},
		{"a file in testdata", func(r *room) error {
			return errors.Join(os.Mkdir(r.path("a/testdata"), 0o755), os.WriteFile(r.path("a/testdata/_x"), nil, 0o644))
		}, false},
		{"a vendored hidden file", func(r *room) error {
			return errors.Join(os.MkdirAll(r.path("a/vendor/m/.x"), 0o755), os.WriteFile(r.path("a/vendor/m/.x/y"), nil, 0o644))
		}, false},
		{"a hidden link", func(r *room) error { return os.Symlink("me@host", r.path("a/.#main.go")) }, true},
		{"a backup", func(r *room) error { return os.WriteFile(r.path("a/sub/x.txt~"), nil, 0o644) }, true},
		{"an Emacs file", func(r *room) error { return os.WriteFile(r.path("a/#main.go#"), nil, 0o644) }, true},
		{"Vim's file", func(r *room) error { return os.WriteFile(r.path("a/sub/4913"), nil, 0o644) }, true},
		{"a folder like Vim's file", func(r *room) error { return os.Mkdir(r.path("a/sub/4913"), 0o755) }, false},
		{"a file and its removal", func(r *room) error {
			return errors.Join(os.WriteFile(r.path("a/sub/y"), nil, 0o644), os.Remove(r.path("a/sub/y")))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newSourceRoom(t)
			r.put("a/main.go", "a/sub/x.txt", "a/none/", "other/main.go", "new")
			before := r.scan(nil, start).Files[0]
			if before.Name != "a" || !before.Settled {
				t.Fatalf("scanned %+v", before)
			}
			r.must(tt.change(r))
			r.same(before, tt.same)
			for _, f := range r.scan(nil, start).Files {
				if f.Name == "a" && (f.ID == before.ID) != tt.same {
					t.Errorf("IDs are\n%+v and\n%+v", before.ID, f.ID)
				}
			}
		})
	}
}

func TestTreeRefusals(t *testing.T) {
	const foreign = 4321
	for _, tt := range []struct {
		name   string
		change func(*room) error
		reason string
		root   bool // only root can do that
	}{
		{"others file", func(r *room) error { return os.Chmod(r.path("a/sub/x.go"), 0o646) }, "sub/x.go is writable by others", false},
		{"others folder", func(r *room) error { return os.Chmod(r.path("a/sub"), 0o757) }, "sub is writable by others", false},
		{"others top", func(r *room) error { return os.Chmod(r.path("a"), 0o757) }, "folder is writable by others", false},
		{"others hidden file", func(r *room) error {
			return errors.Join(os.WriteFile(r.path("a/sub/.x"), nil, 0o644), os.Chmod(r.path("a/sub/.x"), 0o646))
		}, "sub/.x is writable by others", false},
		{"link", func(r *room) error { return os.Symlink("x.go", r.path("a/sub/l.go")) },
			"sub/l.go is a symbolic link: source is regular files and folders", false},
		{"link alone", func(r *room) error { return os.Rename(r.path("link"), r.path("a/main.go")) },
			"main.go is a symbolic link: source is regular files and folders", false},
		{"fifo", func(r *room) error { return unix.Mkfifo(r.path("a/p\n"), 0o644) },
			`"p\n" is a named pipe: source is regular files and folders`, false},
		{"socket", func(r *room) error {
			l, err := net.Listen("unix", r.path("a/s"))
			if err == nil {
				r.t.Cleanup(func() { l.Close() })
			}
			return err
		}, "s is a socket: source is regular files and folders", false},
		{"group", func(r *room) error {
			return errors.Join(os.Chown(r.path("a/sub/x.go"), 0, foreign), os.Chmod(r.path("a/sub/x.go"), 0o664))
		}, `sub/x.go is writable by group "4321"`, true},
		{"owner", func(r *room) error { return os.Chown(r.path("a/sub"), foreign, 0) }, `sub is owned by "4321", not by root`, true},
		{"owner of an ignored file", func(r *room) error { r.put("a/.x.swp"); return os.Chown(r.path("a/.x.swp"), foreign, 0) }, "", true},
		{"deep enough", func(r *room) error { return os.MkdirAll(r.path("a"+strings.Repeat("/d", sourcedir.MaxDepth)), 0o755) }, "", false},
		{"deep", func(r *room) error { return os.MkdirAll(r.path("a"+strings.Repeat("/d", sourcedir.MaxDepth+1)), 0o755) },
			"folder has folders in it more than 32 deep", false},
		{"as large as may be", func(r *room) error { return os.Truncate(r.path("a/sub/x.go"), r.rules.MaxSize-13) }, "", false},
		{"large", func(r *room) error { return os.Truncate(r.path("a/sub/x.go"), r.rules.MaxSize-12) },
			"folder has more than 1 MiB of files in it", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Getuid() != 0 {
				t.Skip("needs root")
			}
			r := newSourceRoom(t)
			r.put("a/main.go", "a/sub/x.go")
			r.must(os.Symlink("sub/x.go", r.path("link")))
			begin := start.Add(-2 * time.Hour)
			s := r.scan(nil, begin)
			good := s.Files[0]
			r.must(tt.change(r))
			s = r.scan(s, begin)
			r.want(s, sourceQuiet, "a waits")
			s = r.scan(s, begin.Add(sourceQuiet))
			if tt.reason == "" {
				r.want(s, 0, "a settled")
				return
			}
			r.want(s, 0, "a refused: "+tt.reason)
			r.same(s.Files[0], false)
			r.same(good, false)
			// An edit elsewhere does not refuse it anew.
			r.put("a/zz.go")
			again := r.scan(s, begin.Add(sourceQuiet))
			r.want(again, 0, "a refused: "+tt.reason)
			if again.Files[0].ID != s.Files[0].ID {
				t.Errorf("IDs are\n%+v and\n%+v", s.Files[0].ID, again.Files[0].ID)
			}
		})
	}
}

func TestTreeOfTooMany(t *testing.T) {
	r := newSourceRoom(t)
	r.put("a/main.go", "a/sub/")
	for i := range sourcedir.MaxEntries - 2 {
		r.must(os.WriteFile(r.path(fmt.Sprintf("a/sub/f%d", i)), nil, 0o644))
	}
	r.put("a/sub/.ignored.swp", "a/sub/ignored~")
	r.want(r.scan(nil, start), 0, "a settled")
	r.put("a/one-more")
	s := r.scan(nil, start)
	r.want(s, 0, "a refused: folder has more than 5000 files and folders in it")
	r.must(os.Remove(r.path("a/one-more")))
	r.want(r.scan(s, start), 0, "a settled")
}

func TestDuplicates(t *testing.T) {
	r := newSourceRoom(t)
	r.rules.Gone = 50 * time.Millisecond
	r.write("a.so", 100, 100, start.Add(-time.Minute))
	r.put("a.go", "a-b.go")
	s := r.scan(nil, start)
	r.want(s, 0, "a refused: there are both a.so and a.go", "a-b settled")
	if want := "remove one of them"; s.Files[0].Refusal.Mend != want {
		t.Errorf("mend is %q, want %q", s.Files[0].Refusal.Mend, want)
	}
	refused := s.Files[0].ID
	r.put("a/main.go")
	s = r.scan(s, start)
	r.want(s, 0, "a refused: there are a.so, a.go and a/", "a-b settled")
	r.must(os.Remove(r.path("a.so")))
	asked := r.asked
	s = r.scan(s, start)
	r.want(s, 50*time.Millisecond, "a refused: there are both a.go and a/", "a-b settled")

	// What an editor is replacing is still there.
	r.must(os.RemoveAll(r.path("a")))
	s = r.scan(s, start.Add(10*time.Millisecond))
	r.want(s, 40*time.Millisecond, "a waits", "a-b settled")
	r.put("a/main.go")
	s = r.scan(s, start.Add(20*time.Millisecond))
	r.want(s, 30*time.Millisecond, "a refused: there are both a.go and a/", "a-b settled")

	// One follows the other: the next is not refused for the one before.
	r.must(os.RemoveAll(r.path("a")))
	s = r.scan(s, start.Add(50*time.Millisecond))
	r.want(s, 50*time.Millisecond, "a waits", "a-b settled")
	s = r.scan(s, start.Add(100*time.Millisecond))
	r.want(s, 0, "a settled", "a-b settled")
	if f := s.Files[0]; f.Kind != GoFile || f.Path != r.path("a.go") || f.ID == refused || f.claims != nil {
		t.Errorf("left is %+v", f)
	}
	if r.asked != asked {
		t.Error("a plugin that is gone was read again")
	}
}

func TestSourceGone(t *testing.T) {
	r := newSourceRoom(t)
	r.rules.Gone = 50 * time.Millisecond
	r.put("a.go", "b/main.go", "b/x", "c/main.go")
	s := r.scan(nil, start)
	r.want(s, 0, "a settled", "b settled", "c settled")
	// As Vim does, with backupcopy=no.
	r.must(os.Rename(r.path("a.go"), r.path("a.go~")))
	r.must(os.Rename(r.path("b/main.go"), r.path("b/main.go~")))
	r.must(os.RemoveAll(r.path("c")))
	r.put("c") // now a file
	s = r.scan(s, start)
	r.want(s, 50*time.Millisecond, "a waits", "b waits", "c waits")
	missed := s
	r.put("a.go", "b/main.go")
	r.want(r.scan(s, start.Add(time.Second)), 0, "a settled", "b settled")

	r.must(os.Remove(r.path("a.go")))
	r.must(os.Remove(r.path("b/main.go")))
	s = r.scan(missed, start.Add(49*time.Millisecond))
	r.want(s, time.Millisecond, "a waits", "b waits", "c waits")
	r.want(r.scan(s, start.Add(50*time.Millisecond)), 0)
}

func TestEmptySourceWaitsThenIsRefused(t *testing.T) {
	r := newSourceRoom(t)
	r.put("a.go")
	r.must(os.Truncate(r.path("a.go"), 0))
	begin := start.Add(-2 * time.Hour)
	s := r.scan(nil, begin)
	r.want(s, sourceQuiet, "a waits")
	s = r.scan(s, begin.Add(time.Second))
	r.want(s, time.Second, "a waits")
	s = r.scan(s, begin.Add(2*time.Second))
	r.want(s, 0, "a refused: file is empty")
	r.put("a.go")
	s = r.scan(s, begin.Add(3*time.Second))
	r.want(s, sourceQuiet, "a waits")
	r.want(r.scan(s, begin.Add(4*time.Second)), 0, "a settled")
}

func TestUnreadableSource(t *testing.T) {
	for _, tt := range []struct {
		path   string
		mode   os.FileMode
		reason string
		mend   string
	}{
		{"a.go", 0o200, "file cannot be read: permission denied", "chmod g+r /a.go"},
		{"a", 0o300, "folder cannot be read: permission denied", "chmod g+rX /a"},
		{"a", 0o744, "folder cannot be read: permission denied", "chmod g+rX /a"},
		{"a", 0o700, "folder cannot be read: permission denied", "chmod g+rX /a"},
		{"a/sub", 0o700, "sub cannot be read: permission denied", "chmod g+rX /a/sub"},
		{"a/sub", 0o744, "sub cannot be read: permission denied", "chmod g+rX /a/sub"},
		{"a/sub/x", 0o600, "sub/x cannot be read: permission denied", "chmod g+rX /a/sub/x"},
	} {
		t.Run(fmt.Sprintf("%s %o", tt.path, tt.mode), func(t *testing.T) {
			if os.Getuid() != 0 && tt.mode&0o400 != 0 {
				t.Skip("needs root, to read as another than the owner")
			}
			r := newSourceRoom(t)
			r.must(os.Chmod(filepath.Dir(r.dir), 0o755)) // TempDir's is 0700
			r.put("a/main.go", "a/sub/x")
			if tt.path == "a.go" {
				r.must(os.RemoveAll(r.path("a")))
				r.put("a.go")
			}
			r.must(os.Chmod(r.path(tt.path), tt.mode))
			begin := start.Add(-2 * time.Hour)
			var s *Snapshot
			for at := time.Duration(0); ; at += s.LookAgain {
				asNobody(t, func() { s = r.scan(s, begin.Add(at)) })
				if s.LookAgain == 0 {
					if at != r.rules.Stalled {
						t.Errorf("verdict after %v, want %v", at, r.rules.Stalled)
					}
					break
				}
				r.want(s, s.LookAgain, "a waits")
			}
			r.want(s, 0, "a refused: "+tt.reason)
			if mend := strings.ReplaceAll(s.Files[0].Refusal.Mend, r.dir, ""); !strings.HasSuffix(mend, " && "+tt.mend) {
				t.Errorf("mend is %q, want %q in it", mend, tt.mend)
			}
			if os.Getuid() == 0 {
				// Readable to whom it was not before, nothing touched.
				r.want(r.scan(s, start), 0, "a settled")
			}
			r.must(os.Chmod(r.path(tt.path), 0o755))
			asNobody(t, func() { s = r.scan(s, start) })
			r.want(s, 0, "a settled")
		})
	}
}

func TestUnreadableFolderThatNamesNoHandlerIsNotMentioned(t *testing.T) {
	r := newSourceRoom(t)
	r.must(os.Chmod(filepath.Dir(r.dir), 0o755))
	r.put("lost+found/main.go", "x.go/main.go")
	r.must(os.Chmod(r.path("lost+found"), 0o000))
	r.must(os.Chmod(r.path("x.go"), 0o000))
	asNobody(t, func() { r.want(r.scan(nil, start), 0) })
	r.must(os.Chmod(r.path("lost+found"), 0o755)) // so that it can be removed
	r.must(os.Chmod(r.path("x.go"), 0o755))
}

// TestTreeThatChangesUnderTheScan makes and removes folders while they are
// looked at: no state that was not whole may count as one.
func TestTreeThatChangesUnderTheScan(t *testing.T) {
	r := newSourceRoom(t)
	r.put("keep/main.go", "keep/x")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			var errs []error
			for _, folder := range []string{"a", "a/b", "a/b/c", "keep/sub"} {
				errs = append(errs, os.MkdirAll(r.path(folder), 0o755))
				for i := range 20 {
					errs = append(errs, os.WriteFile(r.path(fmt.Sprintf("%s/%d.go", folder, i)), []byte("x"), 0o644))
				}
			}
			errs = append(errs, os.RemoveAll(r.path("a")), os.RemoveAll(r.path("keep/sub")))
			if err := errors.Join(errs...); err != nil {
				stopped <- err
				return
			}
		}
	}()
	var s *Snapshot
	for range 300 {
		s = r.scan(s, start.Add(-time.Hour))
		for _, f := range s.Files {
			if f.Refusal != nil {
				t.Errorf("%s is refused: %v", f.Name, f.Refusal)
			}
			if _, err := Same(f, r.rules); err != nil {
				t.Error(err)
			}
		}
		if i := len(s.Files); i == 0 || s.Files[i-1].Name != "keep" {
			t.Fatalf("keep is missing: %v", s.Files)
		}
	}
	close(stop)
	r.must(<-stopped)
	r.want(r.scan(s, start.Add(time.Hour)), 0, "keep settled")
}

func FuzzTreeEntryNames(f *testing.F) {
	for _, names := range [][2]string{{"a", "b"}, {"a\n", "a"}, {"\xff", "é"}, {".x.swp", "y~"}, {".x", ".y"}, {"#z#", "4913"}, {"x.go", "_x.go"}} {
		f.Add(names[0], names[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{a, b} {
			if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > 255 || name == "main.go" {
				t.Skip("no file name")
			}
		}
		r := newSourceRoom(t)
		r.put("p/main.go")
		r.must(os.WriteFile(filepath.Join(r.dir, "p", a), nil, 0o644))
		before := r.scan(nil, start).Files[0]
		r.must(os.Rename(filepath.Join(r.dir, "p", a), filepath.Join(r.dir, "p", b)))
		r.same(before, a == b || sourcedir.Ignored(a, false) && sourcedir.Ignored(b, false))
	})
}

func BenchmarkScanSource(b *testing.B) {
	r := newSourceRoom(b)
	r.rules.MaxSize = 1 << 30
	for i := range sourcedir.MaxEntries - 51 {
		r.put(fmt.Sprintf("a/%d/%d.go", i%50, i))
	}
	r.put("a/main.go")
	prev := r.scan(nil, start)
	r.want(prev, 0, "a settled")
	for b.Loop() {
		r.scan(prev, start)
	}
}
