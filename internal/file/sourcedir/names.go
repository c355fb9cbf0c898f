package sourcedir

import (
	"path/filepath"
	"strings"
)

// Ignored reports whether an entry of a GoPackage is no part of it: what version
// control keeps, which go:embed does not take either, and editors' temporary
// files. They are neither judged nor do they tell one state of the package from
// another, so that a copy to compile has to leave them out. Other hidden files
// are a part of it: //go:embed all: takes them.
func Ignored(name string, isDir bool) bool {
	switch name {
	case ".git", ".hg", ".svn", ".bzr":
		return true
	}
	return !isDir && Temporary(name)
}

// Temporary reports whether editors name their temporary files so: Emacs its
// backups x~, saved buffers #x# and locks .#x, Vim its backups x~, swap files
// .x.swp and the file 4913 by which it finds out whether it may write to a
// folder, GTK's .goutputstream-x; and NFS what is removed while it is open.
func Temporary(name string) bool {
	switch {
	case strings.HasSuffix(name, "~"), name[0] == '#' && strings.HasSuffix(name, "#"), name == "4913":
		return true
	case name[0] != '.':
		return false
	}
	ext := filepath.Ext(name)
	return strings.HasPrefix(name, ".#") || strings.HasPrefix(name, ".nfs") || strings.HasPrefix(name, ".goutputstream-") ||
		len(ext) == 4 && strings.HasPrefix(ext, ".sw") && ext != name
}
