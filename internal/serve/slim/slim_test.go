package slim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/serve/mapped"
	"time"
)

func TestClean(t *testing.T) {
	const smaps = `00400000-00500000 r-xp 00000000 fe:00 11 /cell
Rss: 4 kB
Anonymous: 0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 12                         /store/a b.so
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f0000001000-7f0000003000 r-xp 00001000 fe:00 12                         /store/a b.so
Anonymous:             0 kB
7f0000003000-7f0000004000 r--p 00003000 fe:00 12                         /store/a b.so
Anonymous:             4 kB
7f0000004000-7f0000005000 rw-p 00004000 fe:00 12                         /store/a b.so
Anonymous:             0 kB
7f0000005000-7f0000006000 rw-p 00000000 00:00 0
Anonymous:             0 kB
7f0000006000-7f0000007000 r--p 00000000 fe:00 13                         /store/c.so (deleted)
Anonymous:             0 kB
7f0000007000-7f0000008000 r--p 00000000 fe:00 14                         /store/other.so
Anonymous:             0 kB
`
	got := clean(strings.NewReader(smaps), map[string]bool{"/store/a b.so": true, "/store/c.so": true})
	want := []mapped.Range{{From: 0x7f0000000000, To: 0x7f0000001000}, {From: 0x7f0000001000, To: 0x7f0000003000}, {From: 0x7f0000006000, To: 0x7f0000007000}}
	if !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// What was written to before it became read-only stays, and what is given back is as it
// was.
func TestGiveBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.so")
	content := bytes.Repeat([]byte("x"), 64<<10)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mmap := func(prot int) []byte {
		b, err := syscall.Mmap(int(f.Fd()), 0, len(content), prot, syscall.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Munmap(b) })
		return b
	}
	read, relocated := mmap(syscall.PROT_READ), mmap(syscall.PROT_READ|syscall.PROT_WRITE)
	relocated[100] = 'y'
	if err := syscall.Mprotect(relocated, syscall.PROT_READ); err != nil {
		t.Fatal(err)
	}
	resident := func() (lines []string) {
		text, err := os.ReadFile("/proc/self/smaps")
		if err != nil {
			t.Fatal(err)
		}
		ours := false
		for _, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "-") && !strings.Contains(line, ":  ") {
				ours = strings.HasSuffix(line, path)
			}
			if ours && strings.HasPrefix(line, "Rss:") {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
		}
		return lines
	}
	if !bytes.Equal(read, content) || !slices.Contains(resident(), "Rss: 64 kB") {
		t.Fatalf("before: %q", resident())
	}
	giveBack(New([]string{path}).files)
	if got := resident(); !slices.Contains(got, "Rss: 0 kB") || len(got) != 2 {
		t.Errorf("after: %q", got)
	}
	if !bytes.Equal(read, content) || relocated[100] != 'y' {
		t.Error("the content has changed")
	}
}

// A cell is idle once for each time that it was busy.
func TestIdle(t *testing.T) {
	s, now := New(nil), time.Now()
	for i, step := range []struct {
		after    time.Duration
		requests int64
		want     bool
	}{
		{time.Hour, 0, false}, // it has not served yet
		{0, 3, false},
		{idleWait - 1, 3, false},
		{1, 3, true},
		{time.Hour, 3, false},
		{idleWait, 4, false},
		{idleWait, 5, false}, // it has served meanwhile
		{idleWait, 5, true},
	} {
		now = now.Add(step.after)
		if got := s.idle(step.requests, now); got != step.want {
			t.Errorf("step %d: idle %v", i, got)
		}
	}
}

// A first collection is for more than it costs.
func TestPays(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		collections, live, now uint64
		want                   bool
	}{
		{0, 0, mib, false}, {0, 0, 3 * mib, true}, {1, mib, 2 * mib, true}, {1, 20 * mib, 30 * mib, false}, {0, 0, 300 * mib, true},
	} {
		if got := pays(c.collections, c.live, c.now); got != c.want {
			t.Errorf("%+v: it pays is %t", c, got)
		}
	}
	runtime.GC()
	if n, live, now := measured(); n == 0 || live == 0 || now == 0 {
		t.Errorf("%d collections, %d bytes live, %d by now", n, live, now)
	}
}

// What the load has left waits for the calm; later a collection is due where there never was one.
func TestFirst(t *testing.T) {
	for _, c := range []struct {
		settled                bool
		collections, live, now uint64
		want                   bool
	}{
		{false, 0, 0, 2 * little, false}, {true, 0, 0, 2 * little, true}, {true, 0, 0, little, false}, {true, 1, little, 2 * little, false},
	} {
		s := New(nil)
		s.settled.Store(c.settled)
		if got := s.first(c.collections, c.live, c.now); got != c.want {
			t.Errorf("%+v: a first one is due: %t", c, got)
		}
	}
}

// What is read of thousands of lines hardly is garbage.
func TestCleanAllocates(t *testing.T) {
	var smaps bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&smaps, "%x-%x r--p 00000000 fe:00 12 /store/%d.so\n%sAnonymous: 4 kB\n", i<<20, (i+1)<<20, i, strings.Repeat("Key: 4 kB\n", 20))
	}
	files := map[string]bool{"/store/7.so": true}
	if n := testing.AllocsPerRun(10, func() { clean(bytes.NewReader(smaps.Bytes()), files) }); n > 6*100 {
		t.Errorf("%v pieces of memory for %d mappings", n, 100)
	}
}
