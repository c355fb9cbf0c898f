// Package readahead reads what opening a plugin looks up in its program, in no order: for each of some twenty thousand symbols the
// dynamic linker looks into its tables, and Go's runtime compares the plugin's types with the program's. Read once in their order,
// the same bytes are in the processor's cache, and in this process's page tables, in a fraction of the time.
package readahead

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"unsafe"
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
	for _, m := range tables(text, path) {
		touch(m)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// tables are the mappings of the file that can be read and nothing else, out of what proc_pid_maps(5) describes.
func tables(maps []byte, path string) (all []mapping) {
	for _, line := range bytes.Split(maps, []byte("\n")) {
		fields := bytes.Fields(line) // from-to perms offset device inode path
		if len(fields) < 6 || string(fields[1]) != "r--p" || !bytes.HasSuffix(bytes.TrimSpace(line), []byte(path)) {
			continue
		}
		from, to, _ := bytes.Cut(fields[0], []byte("-"))
		m := mapping{address(from), address(to)}
		if m.from > 0 && m.from < m.to {
			all = append(all, m)
		}
	}
	return all
}

func address(hex []byte) uintptr {
	n, _ := strconv.ParseUint(string(hex), 16, 64)
	return uintptr(n)
}

func touch(m mapping) {
	b := unsafe.Slice(*(**byte)(unsafe.Pointer(&m.from)), min(m.to-m.from, most)) // it is mapped for as long as the process lives
	var sum byte
	for i := 0; i < len(b); i += line {
		sum += b[i]
	}
	runtime.KeepAlive(sum) // or nothing need be read
}
