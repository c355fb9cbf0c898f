package sandbox

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Stamp says in what state all is of which rules are made: two that are alike give a child the same
// files. A rule is one of the file or folder that is there, and not of its name: what is made anew
// later, in a folder that holds something hidden, has none. (In a folder that is everybody's to write, as /tmp
// is, that is so of what comes and goes there, and is no matter.)
func (r Rules) Stamp() string {
	if r.Open {
		return ""
	}
	var folders []string
	for _, path := range r.hidden() {
		for path != "/" {
			path = filepath.Dir(path)
			folders = append(folders, path)
		}
	}
	slices.Sort(folders)
	var all strings.Builder
	for _, path := range slices.Compact(folders) {
		var is unix.Stat_t
		unix.Lstat(path, &is) // what is not there has a state, too
		if is.Mode&unix.S_IWOTH != 0 {
			is.Mtim = unix.Timespec{}
		}
		fmt.Fprintln(&all, is.Dev, is.Ino, is.Mtim.Nano())
	}
	for _, path := range slices.Concat(r.Read, r.Write) {
		var is unix.Stat_t
		unix.Stat(strings.TrimPrefix(path, "-"), &is)
		fmt.Fprintln(&all, is.Dev, is.Ino)
	}
	return all.String()
}
