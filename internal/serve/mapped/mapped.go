// Package mapped reads what the kernel tells of a process's mappings: proc_pid_maps(5), and the lines of proc_pid_smaps(5) that are
// as those.
package mapped

import (
	"strconv"
	"strings"
)

// Range is one of addresses.
type Range struct{ From, To uintptr }

// Parse reads a line, "from-to perms offset device inode path". The path is the file's, be it deleted since, or "".
func Parse(line string) (r Range, perms, path string, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return r, "", "", false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	path = strings.TrimSuffix(strings.Join(fields[min(5, len(fields)):], " "), " (deleted)")
	return Range{address(from), address(to)}, fields[1], path, true
}

func address(hex string) uintptr {
	n, _ := strconv.ParseUint(hex, 16, 64)
	return uintptr(n)
}
