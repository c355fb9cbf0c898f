package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

func (f *fake) folder(path string) (identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	id, ok := f.tree[path]
	if !ok {
		return id, fs.ErrNotExist
	}
	return id, nil
}

func (f *fake) folders(dir string) (names []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	for path := range f.tree {
		if filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// add fails as fsnotify does where it would take one watch for another.
func (f *fake) add(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refuse[path]; err != nil {
		return err
	}
	for p, id := range f.added {
		if p == path || id == f.tree[path] {
			return fmt.Errorf("%s is added, but %s is watched as %v", path, p, id)
		}
	}
	f.added[path] = f.tree[path]
	return nil
}

func (f *fake) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.added, path)
}

// grow makes folders, each with an identity of its own.
func (f *fake) grow(paths ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range paths {
		f.id.ino++
		f.tree[path] = identity{9, f.id.ino}
	}
	f.id.ino = max(f.id.ino, 1)
}

// change changes what is there, and what becomes of add.
func (f *fake) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

// happen sends an event, and waits until the Watcher has seen to it.
func (r *run) happen(op fsnotify.Op, path string) {
	r.fake.events <- fsnotify.Event{Name: path, Op: op}
	synctest.Wait()
}

func (r *run) wantWatched(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.fake.mu.Lock()
	defer r.fake.mu.Unlock()
	if got := slices.Sorted(maps.Keys(r.fake.added)); !slices.Equal(got, want) {
		r.t.Errorf("watched are %q, want %q", got, want)
	}
	for path, id := range r.fake.added {
		if id != r.fake.tree[path] {
			r.t.Errorf("%s is watched as %v, but is %v", path, id, r.fake.tree[path])
		}
	}
}

func TestFoldersAreFollowed(t *testing.T) {
	f := newFake(nil)
	f.grow("/h/a", "/h/a/sub", "/h/a/sub/deep", "/h/.git", "/h/.git/x", "/h/a/.idea", "/h/b")
	bubble(t, f, func(r *run) {
		r.wantWatched("/h/a", "/h/a/sub", "/h/a/sub/deep", "/h/b")

		f.grow("/h/c", "/h/c/d") // both are there when the event comes
		r.happen(fsnotify.Create, "/h/c")
		r.wantNudge(0)
		f.grow("/h/c/.e")
		r.happen(fsnotify.Create, "/h/c/.e")
		r.happen(fsnotify.Create, "/h/c/file")
		r.wantWatched("/h/a", "/h/a/sub", "/h/a/sub/deep", "/h/b", "/h/c", "/h/c/d")

		// Moved over an empty folder: all in it is watched by its new path.
		f.change(func() {
			for _, p := range []string{"", "/sub", "/sub/deep"} {
				f.tree["/h/c/d"+p] = f.tree["/h/a"+p]
				delete(f.tree, "/h/a"+p)
			}
		})
		r.happen(fsnotify.Rename, "/h/a")
		r.happen(fsnotify.Create, "/h/c/d")
		r.wantWatched("/h/b", "/h/c", "/h/c/d", "/h/c/d/sub", "/h/c/d/sub/deep")

		// Exchanged: the first event comes when both have moved.
		f.change(func() { f.tree["/h/b"], f.tree["/h/c"] = f.tree["/h/c"], f.tree["/h/b"] })
		f.change(func() {
			for _, p := range []string{"/d", "/d/sub", "/d/sub/deep"} {
				f.tree["/h/b"+p] = f.tree["/h/c"+p]
				delete(f.tree, "/h/c"+p)
			}
		})
		r.happen(fsnotify.Rename, "/h/b")
		r.happen(fsnotify.Create, "/h/c")
		r.happen(fsnotify.Rename, "/h/c")
		r.happen(fsnotify.Create, "/h/b")
		r.wantWatched("/h/b", "/h/b/d", "/h/b/d/sub", "/h/b/d/sub/deep", "/h/c")

		f.change(func() { delete(f.tree, "/h/b/d/sub/deep"); delete(f.tree, "/h/b/d/sub") })
		r.happen(fsnotify.Remove, "/h/b/d/sub/deep")
		r.happen(fsnotify.Remove, "/h/b/d/sub")
		r.wantWatched("/h/b", "/h/b/d", "/h/c")
		r.wantReports()

		f.change(func() { clear(f.tree) })
		f.grow("/h/new")
		r.fake.errors <- fsnotify.ErrEventOverflow // the events were lost
		r.wantWatched("/h/new")
		r.wantReports(`watch "/h": fsnotify: queue or buffer overflow; every file is looked at instead`)
		f.grow("/h/x")
		time.Sleep(poll) // where an event was missed, the poll makes up for it
		r.wantWatched("/h/new", "/h/x")
	})
}

func TestFolderThatMayNotBeRead(t *testing.T) {
	f := newFake(nil)
	f.grow("/h/a", "/h/a/sub", "/h/b")
	f.refuse["/h/a"] = syscall.EACCES
	bubble(t, f, func(r *run) {
		r.wantWatched("/h/b")
		f.change(func() { clear(f.refuse) })
		r.happen(fsnotify.Chmod, "/h/a")
		r.wantWatched("/h/a", "/h/a/sub", "/h/b")
		r.happen(fsnotify.Chmod, "/h")
		r.wantWatched("/h/a", "/h/a/sub", "/h/b")
		r.wantReports()
	})
}

func TestTooManyFolders(t *testing.T) {
	f := newFake(nil)
	f.grow("/h/a", "/h/z")
	for i := range maxFolders {
		f.grow(fmt.Sprintf("/h/a/%04d", i))
	}
	bubble(t, f, func(r *run) {
		wantNumber := func(want int) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.added) != want {
				t.Errorf("%d folders are watched, want %d", len(f.added), want)
			}
			if _, ok := f.added["/h/z"]; !ok {
				t.Error("/h/z is not watched, though less deep than others")
			}
		}
		const report = `watch folders in "/h": there are more than 1000; the others are looked at every 5s instead`
		wantNumber(maxFolders)
		r.wantReports(report)
		f.grow("/h/one-more")
		r.happen(fsnotify.Create, "/h/one-more")
		time.Sleep(3 * poll)
		wantNumber(maxFolders)
		r.wantReports() // once

		f.change(func() {
			for _, path := range []string{"/h/a/0000", "/h/a/0001", "/h/one-more"} {
				delete(f.tree, path)
			}
		})
		r.happen(fsnotify.Remove, "/h/a/0000")
		wantNumber(maxFolders - 1)
		time.Sleep(poll)
		wantNumber(maxFolders)
		r.wantReports()
		f.grow("/h/more")
		r.happen(fsnotify.Create, "/h/more")
		r.wantReports(report) // anew: all were watched in between
	})
}

func TestFoldersBeyondTheLimitOfInotify(t *testing.T) {
	f := newFake(nil)
	f.grow("/h/a", "/h/b")
	f.refuse["/h/b"] = syscall.ENOSPC
	bubble(t, f, func(r *run) {
		r.wantReports(`watch folders in "/h": add inotify watch: no space left on device; some are looked at every 5s instead; raise fs.inotify.max_user_watches with sysctl`)
		r.wantWatched("/h/a")
		time.Sleep(3 * poll)
		r.wantReports()
		f.change(func() { clear(f.refuse) })
		time.Sleep(poll)
		r.wantWatched("/h/a", "/h/b")
		r.wantReports()
	})
}

func TestPlainDirectoryIsNotSearched(t *testing.T) {
	f := newFake(nil)
	bubble(t, f, func(r *run) {
		for range 100 {
			r.write()
			r.happen(fsnotify.Create, "/h/.new.so")
			r.happen(fsnotify.Rename, "/h/.new.so")
			r.happen(fsnotify.Remove, "/h/a.so")
		}
		time.Sleep(10 * poll)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.looks != 1 {
			t.Errorf("looked for folders %d times, want once at the start", f.looks)
		}
	})
}

// What is compiled is watched: the caller says which folders are none of it.
func TestSkippedFolders(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{".hidden", "a/.git/x", "a/.env/.d", "a/testdata/_x", "a/vendor/.m"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w := New(dir, time.Hour, func(err error) { t.Error(err) })
	w.Skip = func(name string, isDir bool) bool { return isDir && name == ".git" }
	go w.Run(t.Context())
	<-w.C()
	write := func(path string) func() error {
		return func() error { return os.WriteFile(filepath.Join(dir, path), []byte("x"), 0o600) }
	}
	for _, path := range []string{"a/.env/.d/.x", "a/testdata/_x/y", "a/vendor/.m/x", "a/.x"} {
		change(t, w, write(path))
	}
	rest(w)
	for _, silent := range []string{".hidden/x", "a/.git/x/y"} {
		if err := write(silent)(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.C():
			t.Errorf("nudged for %s", silent)
		case <-time.After(20 * gap):
		}
	}
}

func TestRealFolders(t *testing.T) {
	dir, aside := t.TempDir(), t.TempDir()
	in := func(path string) string { return filepath.Join(dir, path) }
	write := func(path string) func() error {
		return func() error { return os.WriteFile(in(path), []byte("x"), 0o600) }
	}
	if err := errors.Join(os.MkdirAll(in("a/sub"), 0o700), os.MkdirAll(in("b/.git"), 0o700), os.Symlink(aside, in("link"))); err != nil {
		t.Fatal(err)
	}
	w := real(t, dir, time.Hour)
	for _, f := range []func() error{
		write("a/x.go"),
		write("a/sub/x.go"),
		func() error { return os.MkdirAll(in("a/m/n/o"), 0o700) },
		write("a/m/n/o/x.go"),
		func() error { return os.Rename(in("a/m"), in("a/w")) },
		write("a/w/n/o/x.go"),
		func() error { return os.MkdirAll(in("a/m/n/o"), 0o700) }, // by the old path
		write("a/m/n/o/x.go"),
		write("a/w/n/o/x.go"),
		func() error { return os.RemoveAll(in("a/m")) },
		func() error { return os.Rename(in("a"), filepath.Join(aside, "a")) },
		func() error { return os.Rename(filepath.Join(aside, "a"), in("c")) },
		write("c/w/n/o/x.go"),
		func() error {
			return unix.Renameat2(unix.AT_FDCWD, in("b"), unix.AT_FDCWD, in("c"), unix.RENAME_EXCHANGE)
		},
		write("b/w/n/o/x.go"),
		write("b/x.go"),
		write("c/x.go"),
		func() error { return os.Rename(in("b/w/n"), in("c/n")) },
		write("c/n/o/x.go"),
	} {
		change(t, w, f)
	}
	rest(w)
	for _, silent := range []string{"c/.git/x", "link/x"} {
		if err := write(silent)(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.C():
			t.Errorf("nudged for %s", silent)
		case <-time.After(20 * gap):
		}
	}
}

// TestRealFoldersInTurmoil makes, moves and removes folders at random; whatever
// is left at the end is watched, without a poll's help.
func TestRealFoldersInTurmoil(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 5 {
		dir := t.TempDir()
		w := real(t, dir, time.Hour)
		all := func() (paths []string) {
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				paths = append(paths, path)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return paths
		}
		for i := range 300 {
			paths := all()
			one, other := paths[rnd.IntN(len(paths))], paths[rnd.IntN(len(paths))]
			name := filepath.Join(other, fmt.Sprint(rnd.IntN(4)))
			var err error
			switch rnd.IntN(6) {
			case 0, 1:
				err = os.MkdirAll(filepath.Join(name, strings.Repeat("x/", rnd.IntN(3))), 0o700)
			case 2:
				if one != dir {
					err = os.RemoveAll(one)
				}
			case 3, 4:
				if one != dir && !strings.HasPrefix(name+"/", one+"/") {
					err = os.Rename(one, name)
				}
			case 5:
				if !strings.HasPrefix(other+"/", one+"/") && !strings.HasPrefix(one+"/", other+"/") {
					err = unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
				}
			}
			if err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
				t.Fatalf("step %d: %v", i, err)
			}
		}
		// The directory's own events come last of all.
		change(t, w, func() error { return os.WriteFile(filepath.Join(dir, "f"), nil, 0o600) })
		for _, path := range all() {
			if filepath.Base(path) == "f" {
				continue
			}
			if err := os.WriteFile(filepath.Join(path, "f"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			select {
			case <-w.C():
			case <-time.After(2 * time.Second):
				t.Errorf("no nudge for %s", strings.TrimPrefix(path, dir))
			}
			for quiet := false; !quiet; {
				select {
				case <-w.C():
				case <-time.After(3 * gap):
					quiet = true
				}
			}
		}
	}
}

// rest returns once no nudge is left of what has happened so far: a busy machine is
// late with its events.
func rest(w *Watcher) {
	for {
		select {
		case <-w.C():
		case <-time.After(40 * gap):
			return
		}
	}
}
