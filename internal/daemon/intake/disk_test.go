package intake

import (
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"golang.org/x/sys/unix"
)

// A file that has lain there is not in memory beside its copy; one that was written just now may be somebody's still.
func TestSourceLeavesMemory(t *testing.T) {
	dir, err := os.MkdirTemp(".", ".test-") // the temporary directory may be on a file system that is memory
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	st, err := store.Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	for age, want := range map[time.Duration]bool{0: true, time.Hour: false} {
		f := handlerdir.File{Name: "a", Path: filepath.Join(dir, age.String()+".so")}
		write(t, f.Path, age)
		var is unix.Stat_t
		if err := unix.Stat(f.Path, &is); err != nil {
			t.Fatal(err)
		}
		f.ID = handlerdir.ID{Dev: uint64(is.Dev), Ino: is.Ino, Size: is.Size, Mtime: is.Mtim.Nano(), Ctime: is.Ctim.Nano()}
		if !resident(t, f.Path) {
			t.Fatalf("of age %v: it was not in memory before", age)
		}
		copied, err := copyIn(st, 1<<30, f, func(*os.File, *elfplug.Info) {})
		if err != nil {
			t.Fatal(err)
		}
		if got := resident(t, f.Path); got != want {
			t.Errorf("of age %v: in memory %v", age, got)
		}
		if !resident(t, copied.Path) {
			t.Errorf("of age %v: its copy is not in memory", age)
		}
	}
}

// write writes a file that is on the disk, too, and was written so long ago.
func write(t *testing.T, path string, age time.Duration) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(age.String() + string(make([]byte, 1<<20))); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// resident reports whether most of a file is in memory (mincore(2)).
func resident(t *testing.T, path string) bool {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const size = 1 << 20
	at, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(at)
	pages, n := make([]byte, size/os.Getpagesize()), 0
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&at[0])), size, uintptr(unsafe.Pointer(&pages[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range pages {
		n += int(p & 1)
	}
	return n > len(pages)/2
}
