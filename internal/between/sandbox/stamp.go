package sandbox

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// systems are the files that the C library and Go read by themselves, some over and over: for names, time zones and
// certificates.
var systems = []string{
	"gai.conf", "group", "host.conf", "hosts", "localtime", "nsswitch.conf", "passwd", "pki", "protocols", "resolv.conf", "services", "ssl", "timezone",
}

// WithSystem is r that tells these files of /etc from those that replace them, where something of /etc is
// hidden. A rule is of the file that is there, and most who write these make them anew: a process that goes on
// would find no name any more.
func (r Rules) WithSystem() Rules { return r.withSystem("/etc") }

func (r Rules) withSystem(etc string) Rules {
	s := ruleset{hidden: r.hidden()}
	if !s.holdsHidden(etc) {
		return r
	}
	var all strings.Builder
	for _, name := range systems {
		var is unix.Stat_t
		unix.Lstat(filepath.Join(etc, name), &is)
		fmt.Fprintln(&all, is.Dev, is.Ino)
	}
	r.System = all.String()
	return r
}

// Stamp says in what state all is of which rules are made: two that are alike give a child the same
// files. A rule is one of the file or folder that is there, and not of its name: what is made anew
// later, in a folder that holds something hidden, has none.
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
