package readahead

import (
	"os"
	"slices"
	"testing"

	"github.com/andrestc/go-plugserver/internal/serve/mapped"
)

func TestTables(t *testing.T) {
	const maps = `00400000-0061a000 r--p 00000000 fe:00 12 /usr/lib/plug server/cell
0061a000-00a83000 r-xp 0021a000 fe:00 12 /usr/lib/plug server/cell
00a83000-00f9a000 r--p 00683000 fe:00 12 /usr/lib/plug server/cell
00f9a000-00f9b000 rw-p 00b99000 fe:00 12 /usr/lib/plug server/cell
7f0000000000-7f0000001000 r--p 00000000 fe:00 13 /usr/lib/libc.so.6
7f0000002000-7f0000003000 r--p 00000000 00:00 0
7ffe00000000-7ffe00001000 r--p 00000000 00:00 0 [vvar]
`
	want := []mapped.Range{{From: 0x400000, To: 0x61a000}, {From: 0xa83000, To: 0xf9a000}}
	if got := tables(maps, "/usr/lib/plug server/cell"); !slices.Equal(got, want) {
		t.Errorf("got %x", got)
	}
	if got := tables("nonsense\n\nx-y r--p 0 0 0 /a\n2-1 r--p 0 0 0 /a\n", "/a"); got != nil {
		t.Errorf("got %x of nonsense", got)
	}
}

// Of this process's own program there is something, and it can be read.
func TestProgram(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if len(tables(string(maps), path)) == 0 {
		t.Errorf("nothing of %s is found in\n%s", path, maps)
	}
	Program()
}
