// Package readahead reads what opening a plugin looks up in its program, in no order: for each of some twenty thousand symbols the
// dynamic linker looks into its tables, and Go's runtime compares the plugin's types with the program's. Read once in their order,
// the same bytes are in the processor's cache, and in this process's page tables, in a fraction of the time.
package readahead

import (
	"os"
	"runtime"
	"strings"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/serve/mapped"
)

const (
	// most of each mapping is read, in bytes: the symbols of a cell take 2.1 MB; its types stand first of what follows, before what nobody looks up.
	most = 2 << 20
	line = 64 // bytes that come into the cache at a time
)

// Program reads that of this process's. Where it cannot, opening takes longer.
func Program() {
	path, err := os.Executable()
	if err != nil {
		return
	}
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for _, m := range tables(string(text), path) {
		touch(m)
	}
}

// tables are the mappings of the file that can be read and nothing else, out of what proc_pid_maps(5) describes.
func tables(maps, path string) (all []mapped.Range) {
	for _, line := range strings.Split(maps, "\n") {
		m, perms, file, ok := mapped.Parse(line)
		if ok && perms == "r--p" && file == path && m.From > 0 && m.From < m.To {
			all = append(all, m)
		}
	}
	return all
}

func touch(m mapped.Range) {
	b := unsafe.Slice(*(**byte)(unsafe.Pointer(&m.From)), min(m.To-m.From, most)) // it is mapped for as long as the process lives
	var sum byte
	for i := 0; i < len(b); i += line {
		sum += b[i]
	}
	runtime.KeepAlive(sum) // or nothing need be read
}
