package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/follower"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

const chunk = follower.Chunk

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state", "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content returns n bytes that differ from seed to seed.
func content(seed uint64, n int) []byte {
	var key [32]byte
	key[0] = byte(seed)
	p := make([]byte, n)
	rand.NewChaCha8(key).Read(p)
	return p
}

func sumOf(p []byte) string {
	h := sha256.Sum256(p)
	return hex.EncodeToString(h[:])
}

// names lists the store's files.
func names(t testing.TB, s *Store) []string {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	return got
}

func TestPutCopies(t *testing.T) {
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 4 * chunk, 9*chunk + 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newStore(t)
			want := content(1, n)
			v, err := s.Put(iotest.HalfReader(bytes.NewReader(want)), int64(n))
			if err != nil {
				t.Fatal(err)
			}
			if v.Sum != sumOf(want) || v.Size != int64(n) || v.Path != filepath.Join(s.dir, v.Sum+".so") {
				t.Errorf("Put = %+v", v)
			}
			if v.Short() != v.Sum[:12] {
				t.Errorf("Short = %q", v.Short())
			}
			got, err := os.ReadFile(v.Path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("the copy differs")
			}
			info, err := os.Stat(v.Path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o400 {
				t.Errorf("mode %v, want 0400", info.Mode())
			}
			if got := names(t, s); len(got) != 1 {
				t.Errorf("store holds %q", got)
			}
			if found, err := s.Find(v.Sum); err != nil || found != v {
				t.Errorf("Find = %+v, %v", found, err)
			}
		})
	}
}

// Who looks at a copy beside its hashing sees all of it, and none that is refused.
func TestPutBeside(t *testing.T) {
	s := newStore(t)
	want := content(1, 9*chunk+7)
	var seen []byte
	var lead string
	look := func(r *os.File, size int64) {
		seen = make([]byte, size)
		if _, err := r.ReadAt(seen, 0); err != nil {
			t.Error(err)
		}
		if left := names(t, s); len(left) != 1 || !strings.HasPrefix(left[0], tempPrefix) {
			t.Errorf("looked at %q", left)
		}
		var err error
		if lead, err = s.Lead(r); err != nil {
			t.Error(err)
		}
	}
	var too bytes.Buffer
	v, err := s.PutBeside(bytes.NewReader(want), math.MaxInt64, &too, look)
	if err != nil || v.Sum != sumOf(want) || !bytes.Equal(seen, want) || !bytes.Equal(too.Bytes(), want) {
		t.Errorf("%+v, %v: seen are %d bytes of %d", v, err, len(seen), len(want))
	}
	if led, err := os.ReadFile(lead); err != nil || !bytes.Equal(led, want) {
		t.Errorf("at its other name are %d bytes, %v", len(led), err)
	}
	if s, err = Open(s.dir); err != nil || len(names(t, s)) != 1 {
		t.Errorf("left for the next daemon: %q, %v", names(t, s), err)
	}
	never := func(*os.File, int64) { t.Error("it is looked at") }
	if _, err := s.PutBeside(bytes.NewReader(want), chunk, io.Discard, never); err == nil {
		t.Error("it is not refused")
	}
	if _, err := s.PutBeside(iotest.ErrReader(errors.New("boom")), chunk, io.Discard, never); err == nil {
		t.Error("it can be read")
	}
}

func TestPutRefusesTooLarge(t *testing.T) {
	s := newStore(t)
	src := bytes.NewReader(content(1, 3*chunk))
	_, err := s.Put(src, chunk)
	if want := badfile.TooLarge(chunk); refusal.From(err).Reason != want.Reason {
		t.Errorf("Put = %v, want %v", err, want)
	}
	if read := 3*chunk - src.Len(); read > chunk+1 {
		t.Errorf("read %d bytes of a source of at most %d", read, chunk)
	}
	if got := names(t, s); got != nil {
		t.Errorf("left behind: %q", got)
	}
	if _, err := s.Put(strings.NewReader("x"), math.MaxInt64); err != nil {
		t.Errorf("no limit: %v", err)
	}
}

func TestPutPassesReadErrors(t *testing.T) {
	s := newStore(t)
	boom := errors.New("boom")
	src := io.MultiReader(bytes.NewReader(content(1, 2*chunk+5)), iotest.ErrReader(boom))
	if _, err := s.Put(src, math.MaxInt64); !errors.Is(err, boom) {
		t.Errorf("Put = %v", err)
	}
	if got := names(t, s); got != nil {
		t.Errorf("left behind: %q", got)
	}
}

// fillUp has the store's disk full after n more bytes: the error is the
// kernel's own, of /dev/full (full(4)).
func fillUp(t *testing.T, s *Store, n int) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	s.write = func(f *os.File, p []byte) (int, error) {
		fits := min(n, len(p))
		n -= fits
		if m, err := f.Write(p[:fits]); err != nil || fits == len(p) {
			return m, err
		}
		return full.Write(p[fits:])
	}
}

func TestFullDisk(t *testing.T) {
	for _, room := range []int{0, 1, chunk, 3*chunk + 1} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			s := newStore(t)
			before := Changes{"a": {Seq: 1, Patterns: []string{"/a"}}}
			if err := s.SaveHistory(before); err != nil {
				t.Fatal(err)
			}
			old, err := s.Put(strings.NewReader("old"), 3)
			if err != nil {
				t.Fatal(err)
			}
			fillUp(t, s, room)
			_, err = s.Put(bytes.NewReader(content(1, 8*chunk)), math.MaxInt64)
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Put = %v, want ENOSPC", err)
			}
			if want := refusal.Full(s.dir, syscall.ENOSPC); err.Error() != want.Error() {
				t.Errorf("Put = %v\nwant  %v", err, want)
			}
			if err := s.SaveHistory(Changes{"b": {Seq: 2}}); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("SaveHistory = %v, want ENOSPC", err)
			}
			if got, want := fmt.Sprint(names(t, s)), fmt.Sprint([]string{old.Sum + ".so", "history.log"}); got != want {
				t.Errorf("store holds %v, want %v", got, want)
			}
			if h, err := s.LoadHistory(); err != nil || h["a"].Seq != 1 || len(h) != 1 {
				t.Errorf("history is %v, %v", h, err)
			}
			s.write = (*os.File).Write // there is room again
			if err := s.SaveHistory(Changes{"c": {Seq: 3}}); err != nil {
				t.Error(err)
			}
			if h, err := s.LoadHistory(); err != nil || len(h) != 2 || h["c"].Seq != 3 {
				t.Errorf("with room again history is %v, %v", h, err)
			}
		})
	}
}

// TestPutOverLiveCopy pins that a mapped copy is never rewritten.
func TestPutOverLiveCopy(t *testing.T) {
	s := newStore(t)
	want := content(1, chunk)
	first, err := s.Put(bytes.NewReader(want), chunk)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := os.Open(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer mapped.Close()
	if second, err := s.Put(bytes.NewReader(want), chunk); err != nil || second != first {
		t.Fatalf("second Put = %+v, %v", second, err)
	}
	after, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Error("the copy was replaced, or written into")
	}
	if got, err := io.ReadAll(mapped); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what had the copy open lost it: %d bytes, %v", len(got), err)
	}
}

func TestConcurrentPuts(t *testing.T) {
	s := newStore(t)
	same := content(1, 3*chunk)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			p := same
			if i%4 == 0 {
				p = content(uint64(2+i), chunk)
			}
			v, err := s.Put(bytes.NewReader(p), math.MaxInt64)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(v.Path); err != nil || sumOf(got) != sumOf(p) {
				t.Errorf("Put %d: copy differs, %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := names(t, s); len(got) != 5 {
		t.Errorf("store holds %d files, want 5: %q", len(got), got)
	}
}

func TestFind(t *testing.T) {
	s := newStore(t)
	v, err := s.Put(strings.NewReader("content"), 7)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(filepath.Dir(s.dir), "x.so")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sum := range []string{"", "../x", v.Sum[:63], strings.ToUpper(v.Sum), sumOf([]byte("other"))} {
		if got, err := s.Find(sum); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Find(%q) = %+v, %v", sum, got, err)
		}
	}
	if err := os.Truncate(v.Path, 3); errors.Is(err, fs.ErrPermission) {
		if err := os.Chmod(v.Path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(v.Path, 3); err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Find(v.Sum); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Find of a damaged copy = %+v, %v", got, err)
	}
	if got := names(t, s); got != nil {
		t.Errorf("damaged copy is still there: %q", got)
	}
}

func TestDelete(t *testing.T) {
	s := newStore(t)
	var sums []string
	for _, c := range []string{"a", "b", "c"} {
		v, err := s.Put(strings.NewReader(c), 1)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, v.Sum)
	}
	if err := errors.Join(s.SaveHistory(Changes{}), s.CompactHistory()); err != nil {
		t.Fatal(err)
	}
	inProgress, err := s.temp(0o400)
	if err != nil {
		t.Fatal(err)
	}
	defer inProgress.Close()
	for _, other := range []string{"README", "notes.so"} {
		if err := os.WriteFile(filepath.Join(s.dir, other), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(map[string]bool{sums[0]: true, sums[2]: true, sumOf([]byte("z")): true}); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		sums[1] + ".so": true, "history.json": true, "README": true, "notes.so": true,
		filepath.Base(inProgress.Name()): true,
	}
	got := names(t, s)
	for _, name := range got {
		if !want[name] {
			t.Errorf("%s is still there", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("store holds %q", got)
	}
}

func TestOpen(t *testing.T) {
	t.Run("creates", func(t *testing.T) {
		s := newStore(t)
		for path, want := range map[string]fs.FileMode{s.dir: 0o700, filepath.Dir(s.dir): 0o755} {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got&^want != 0 || got&0o700 != 0o700 {
				t.Errorf("mode of %s is %v, want %v", path, got, want)
			}
		}
		if !filepath.IsAbs(s.dir) {
			t.Errorf("dir %q is relative", s.dir)
		}
	})
	t.Run("mends mode and cleans", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o775); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{".tmp-LEFTOVER", "kept.so"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o400); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o700 {
			t.Errorf("mode is %v", info.Mode())
		}
		if got := names(t, s); len(got) != 1 || got[0] != "kept.so" {
			t.Errorf("store holds %q", got)
		}
	})
	t.Run("refuses a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "store")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(file); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("Open = %v", err)
		}
	})
	t.Run("refuses another's", func(t *testing.T) {
		dir := "/proc" // root's, for whoever is not root
		if os.Geteuid() == 0 {
			dir = t.TempDir()
			if err := os.Chown(dir, 4321, -1); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "it is owned by uid") {
			t.Errorf("Open = %v", err)
		}
	})
}

// BenchmarkPut stores 11 MiB that the store does not have yet.
func BenchmarkPut(b *testing.B) {
	s := newStore(b)
	want := content(1, 11<<20)
	src := filepath.Join(b.TempDir(), "h.so")
	if err := os.WriteFile(src, want, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(want)))
	for b.Loop() {
		f, err := os.Open(src)
		if err != nil {
			b.Fatal(err)
		}
		v, err := s.Put(f, 64<<20)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
		b.StopTimer()
		if err := os.Remove(v.Path); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// What the saved history does not name is loose, whoever has put it there.
func TestLoose(t *testing.T) {
	s := newStore(t)
	put := func(content string) string {
		t.Helper()
		v, err := s.Put(strings.NewReader(content), 10)
		if err != nil {
			t.Fatal(err)
		}
		return v.Sum
	}
	save := func(c Changes) {
		t.Helper()
		if err := s.SaveHistory(c); err != nil {
			t.Fatal(err)
		}
	}
	of := func(sums ...string) *Record {
		r := &Record{Seq: 1}
		for _, sum := range sums {
			r.Versions = append(r.Versions, Served{Sum: sum})
		}
		return r
	}
	want := func(when string, sums ...string) {
		t.Helper()
		slices.Sort(sums)
		if got := slices.Sorted(maps.Keys(s.Loose())); !slices.Equal(got, sums) {
			t.Errorf("%s: %d are loose, want %d:\n%q\n%q", when, len(got), len(sums), got, sums)
		}
	}
	a, b, c, d := put("a"), put("b"), put("c"), put("d")
	want("put", a, b, c, d)
	save(Changes{"x": of(a, b), "y": of(b)})
	want("some are named", c, d)
	put("a")
	want("one comes again", c, d)
	save(Changes{"x": of(a)})
	want("another names it", c, d)
	save(Changes{"x": of(a, b, c, d)}) // the history keeps three
	want("more than are kept", a)
	save(Changes{"y": nil})
	want("named by one of two", a)
	save(Changes{"x": of(a)})
	want("named again", b, c, d)
	if err := s.Delete(map[string]bool{b: true}); err != nil {
		t.Fatal(err)
	}
	want("deleted", c, d)
	erase := s.erase
	s.erase = func(path string) error { return &os.PathError{Op: "unlink", Path: path, Err: syscall.EIO} }
	if err := s.Delete(map[string]bool{c: true}); !errors.Is(err, syscall.EIO) {
		t.Errorf("deleted: %v", err)
	}
	want("it cannot be deleted", c, d)
	s.erase = erase

	var err error
	if s, err = Open(s.dir); err != nil {
		t.Fatal(err)
	}
	want("without a history", a, c, d)
	if _, err := s.LoadHistory(); err != nil {
		t.Fatal(err)
	}
	want("after a restart", c, d)
	save(Changes{"x": nil})
	want("of nobody", a, c, d)
}

func TestDiscardedLater(t *testing.T) {
	s := newStore(t)
	erase := s.erase
	s.erase = func(path string) error { return &os.PathError{Op: "unlink", Path: path, Err: syscall.EIO} }
	var led string
	if _, err := s.PutBeside(strings.NewReader("users"), 2, io.Discard, func(*os.File, int64) {}); err == nil { // too large
		t.Fatal("got a copy")
	}
	_, err := s.PutBeside(strings.NewReader("users"), 100, io.Discard, func(copy *os.File, _ int64) { led, _ = s.Lead(copy) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(led); !errors.Is(err, syscall.EIO) {
		t.Fatalf("discarded: %v", err)
	}
	if err := s.Delete(nil); !errors.Is(err, syscall.EIO) || len(names(t, s)) != 4 {
		t.Errorf("while nothing can be deleted: %v, %q", err, names(t, s))
	}
	s.erase = erase
	if err := s.Delete(nil); err != nil || len(names(t, s)) != 1 {
		t.Errorf("afterwards: %v, %q", err, names(t, s))
	}
	if err := s.Discard(led); err != nil {
		t.Errorf("what is gone: %v", err)
	}
}

// A copy that is there keeps its file: what has been allowed to a cell is that.
func TestSameContentSameFile(t *testing.T) {
	s := newStore(t)
	inode := func() uint64 {
		v, err := s.Put(strings.NewReader("users"), 100)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(v.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	first := inode()
	if again := inode(); again != first {
		t.Errorf("file %d has become %d", first, again)
	}
	path := s.path(sumOf([]byte("users")))
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("u5ers"), 0o400)); err != nil {
		t.Fatal(err)
	}
	inode()
	if b, err := os.ReadFile(path); err != nil || string(b) != "users" {
		t.Errorf("over a damaged copy: %q, %v", b, err)
	}
	if got := names(t, s); len(got) != 1 {
		t.Errorf("store holds %q", got)
	}
}

// What is put again is not read where it is known to be there, as it was.
func TestKnownIsPutWithoutReading(t *testing.T) {
	s := newStore(t)
	v, err := s.Put(strings.NewReader("users"), 100)
	if err != nil {
		t.Fatal(err)
	}
	s.Learn(State{}, v)
	damage(t, s, v) // which whoever read it would see
	if again, err := s.Put(strings.NewReader("users"), 100); err != nil || again != v {
		t.Errorf("put again: %+v, %v", again, err)
	}
	if b, err := os.ReadFile(v.Path); err != nil || string(b) != "rotten" {
		t.Errorf("it was read, and replaced by %q, %v", b, err)
	}
	if err := s.Doubt(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(strings.NewReader("users"), 100); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(v.Path); err != nil || string(b) != "users" {
		t.Errorf("others may have written to it, and it stays %q, %v", b, err)
	}
}

// A copy that takes the place of a damaged one while that is being read is not deleted in its place.
func TestReplacedWhileRead(t *testing.T) {
	s := newStore(t)
	sum := sumOf([]byte("users"))
	if err := syscall.Mkfifo(s.path(sum), 0o600); err != nil {
		t.Fatal(err)
	}
	found := make(chan error, 1)
	go func() {
		_, err := s.Find(sum)
		found <- err
	}()
	damaged, err := os.OpenFile(s.path(sum), os.O_WRONLY, 0) // once it is being read
	if err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(s.dir, tempPrefix)
	if err := errors.Join(os.WriteFile(good, []byte("users"), 0o400), os.Rename(good, s.path(sum))); err != nil {
		t.Fatal(err)
	}
	if _, err := damaged.WriteString("rotten"); err != nil {
		t.Fatal(err)
	}
	damaged.Close()
	if err := <-found; err != nil {
		t.Errorf("found: %v", err)
	}
	if b, err := os.ReadFile(s.path(sum)); err != nil || string(b) != "users" {
		t.Errorf("there is %q, %v", b, err)
	}
}
