package handlerdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/badfile"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"golang.org/x/sys/unix"
)

// refuse judges what stat(2) and the name of a file tell.
func (r *Rules) refuse(f File, st *unix.Stat_t) *refusal.Error {
	file, mode := filepath.Base(f.Path), modeOf(st.Mode)
	switch {
	case !ValidName(strings.TrimSuffix(file, suffixes[f.Kind])):
		return badfile.BadName(file)
	case !mode.IsRegular():
		return badfile.NotRegular(mode)
	}
	if refused := r.writers(f.Path, st); refused != nil {
		return refused
	}
	if st.Size > r.MaxSize {
		return badfile.TooLarge(r.MaxSize)
	}
	return nil
}

// directory words an error that concerns the directory dir.
func (r *Rules) directory(dir string, err error) error {
	return badfile.Directory(dir, groupName(r.GID), err)
}

// unreadable words why a file, or an entry of a folder, cannot be read.
func (r *Rules) unreadable(f File, err error) *refusal.Error {
	group := groupName(r.GID)
	var inside *entryError
	if errors.As(err, &inside) {
		return badfile.UnreadableInside(inside.entry, filepath.Join(f.Path, inside.entry), group, inside.cause)
	}
	return badfile.Unreadable(f.Path, group, err)
}

// modeOf translates the type in a mode of stat(2).
func modeOf(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFCHR, unix.S_IFBLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

// userName is "" for whoever the daemon's user namespace does not show.
func userName(uid uint32) string {
	if unseen(uid, overflow("uid"), ownMap("uid_map")) {
		return ""
	}
	id := idText(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// groupName is "" as userName is.
func groupName(gid uint32) string {
	if unseen(gid, overflow("gid"), ownMap("gid_map")) {
		return ""
	}
	id := idText(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// unseen reports whether id is what stands for all that a user namespace does
// not map (user_namespaces(7)), and nobody's own in it. idMap is its uid_map.
func unseen(id, overflow uint32, idMap string) bool {
	if id != overflow || idMap == "" {
		return false
	}
	for line := range strings.Lines(idMap) {
		var inside, outside, count uint64
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && inside <= uint64(id) && uint64(id) < inside+count {
			return false
		}
	}
	return true
}

// overflow is the id, of the kind "uid" or "gid", that stands for all unseen.
func overflow(kind string) uint32 {
	b, err := os.ReadFile("/proc/sys/kernel/overflow" + kind)
	if id, parsed := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && parsed == nil {
		return uint32(id)
	}
	return 65534 // the kernel's default; ProcSubset=pid hides the file
}

// ownMap is a map of this process's user namespace, "" where there is none.
func ownMap(name string) string {
	b, _ := os.ReadFile("/proc/self/" + name)
	return string(b)
}

func idText(id uint32) string { return strconv.FormatUint(uint64(id), 10) }
