package copying

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// files are one with content that was written a while ago, and an empty one.
func files(t *testing.T, dir string, content []byte, age time.Duration) (from, to *os.File) {
	t.Helper()
	from, err := os.CreateTemp(dir, "from-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.Write(content); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(from.Name(), at, at); err != nil {
		t.Fatal(err)
	}
	to, err = os.CreateTemp(dir, "to-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	return from, to
}

func size(t *testing.T, f *os.File) int64 {
	t.Helper()
	is, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return is.Size()
}

// xfs mounts one that is empty.
func xfs(t *testing.T) string {
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: a file system is mounted by root")
	}
	if _, err := exec.LookPath("mkfs.xfs"); err != nil {
		t.Skip("NOT RUN: there is no mkfs.xfs: make deps")
	}
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 320<<20); err != nil { // as small as they get
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.xfs", "-q", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.xfs: %v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: this machine mounts no XFS: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

func TestShare(t *testing.T) {
	dir := xfs(t)
	content := bytes.Repeat([]byte("users"), 1<<20)
	free := func() int64 {
		var is syscall.Statfs_t
		syscall.Sync()
		if err := syscall.Statfs(dir, &is); err != nil {
			t.Fatal(err)
		}
		return int64(is.Bfree) * is.Bsize
	}
	from, to := files(t, dir, content, time.Hour)
	before := free()
	if n, ok := share(to, from, int64(len(content))); !ok || n != int64(len(content)) {
		t.Fatalf("got %d, %t", n, ok)
	}
	if took := before - free(); took > 1<<20 {
		t.Errorf("a clone of %d bytes takes %d", len(content), took)
	}
	if _, err := from.WriteAt([]byte("admin"), 0); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(to)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("a clone of %d bytes has %d others: %v", len(content), len(got), err)
	}
}

func TestShareNot(t *testing.T) {
	content := []byte("users")
	for _, c := range []struct {
		name string
		age  time.Duration
		most int64
	}{
		{"written just now", 0, 100},
		{"larger than it may be", time.Hour, 4},
	} {
		from, to := files(t, t.TempDir(), content, c.age)
		if n, ok := share(to, from, c.most); ok || n != 0 || size(t, to) != 0 {
			t.Errorf("%s: got %d, %t, and %d bytes", c.name, n, ok, size(t, to))
		}
	}
	_, to := files(t, t.TempDir(), content, time.Hour)
	if n, ok := share(to, bytes.NewReader(content), 100); ok || n != 0 {
		t.Errorf("what is no file: got %d, %t", n, ok)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if n, ok := share(to, r, 100); ok || n != 0 {
		t.Errorf("a pipe: got %d, %t", n, ok)
	}
	dir, err := os.MkdirTemp("/dev/shm", "copying-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	from, _ := files(t, dir, content, time.Hour)
	if n, ok := share(to, from, 100); ok || n != 0 || size(t, to) != 0 {
		t.Errorf("of another file system: got %d, %t", n, ok)
	}
}
