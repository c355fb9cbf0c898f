package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"golang.org/x/sys/unix"
)

// The rights of Landlock that we grant.
const (
	readFile = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE
	readAll  = readFile | unix.LANDLOCK_ACCESS_FS_READ_DIR
	useFile  = readFile | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	// writeAll are all but those to make devices.
	writeAll = useFile | readAll | unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	devices = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// harmless are the devices that every child has.
var harmless = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}

func landlockVersion() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// handled are the rights that are denied where they are not granted.
func handled(version int) (files uint64) {
	files = writeAll | devices
	if version < hasRefer {
		files &^= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version < hasTrunc {
		files &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version < hasDevices {
		files &^= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return files
}

func restrictSelf(set int) error {
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(set), 0, 0); errno != 0 {
		return fmt.Errorf("enter Landlock's rules: %w", errno)
	}
	return nil
}

// ruleset makes the rules for files, ports and signals. The caller closes it; -1 is none.
func (r Rules) ruleset(can Can) (int, error) {
	if can.Landlock == 0 {
		return -1, nil
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handled(can.Landlock)}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if can.Landlock >= hasNet {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP
		size += unsafe.Sizeof(attr.Handled_access_net)
	}
	if can.Landlock >= hasScopes {
		attr.Scoped = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		size += unsafe.Sizeof(attr.Scoped)
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if errno != 0 {
		return -1, fmt.Errorf("make Landlock's rules: %w", errno)
	}
	s := &ruleset{fd: int(fd), handled: attr.Handled_access_fs}
	if err := s.fill(r); err != nil {
		unix.Close(s.fd)
		return -1, err
	}
	return s.fd, nil
}

// ruleset are rules that are being made.
type ruleset struct {
	fd      int
	handled uint64
	hidden  []string
}

func (s *ruleset) fill(r Rules) error {
	s.hidden = r.hidden()
	if err := s.around("/", readAll); err != nil {
		return err
	}
	for _, path := range harmless {
		if err := s.grant(path, useFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, path := range r.Read {
		if err := s.named(path, readAll); err != nil {
			return err
		}
	}
	for _, path := range r.Write {
		if err := s.named(path, writeAll); err != nil {
			return err
		}
	}
	return nil
}

// hidden are the files and folders that may not be read.
func (r Rules) hidden() []string {
	all := []string{"/dev"}
	for _, path := range r.Hide {
		all = append(all, real(path))
	}
	return all
}

// real is path without links, as far as it is there.
func real(path string) string {
	path = filepath.Clean(path)
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(real(dir), filepath.Base(path))
	}
	return path
}

// named grants rights on what an operator or we have named: also in what is hidden.
func (s *ruleset) named(named string, rights uint64) error {
	named, optional := strings.CutPrefix(named, "-")
	path, err := filepath.EvalSymlinks(named)
	if err != nil {
		if optional && passable(err) {
			return nil
		}
		return refusal.NotShared(named, err)
	}
	if s.holdsHidden(path) {
		return s.around(path, rights)
	}
	return s.grant(path, rights)
}

// within reports whether path is dir or in it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

func (s *ruleset) holdsHidden(path string) bool {
	return slices.ContainsFunc(s.hidden, func(h string) bool { return h != path && within(h, path) })
}

// around grants rights on a folder, but for what is hidden: Landlock's rights are never less
// in a folder than above it, so that all else in the folders on the way is granted for itself. What comes to be in
// such a folder later is not. What cannot be opened or listed is nothing that a child could read. Of a folder
// that is everybody's to write, as /tmp is, no more is granted than what is on the way: the rest comes and goes, and may be much.
func (s *ruleset) around(folder string, rights uint64) error {
	entries, everybodys, err := list(folder)
	if err != nil && !passable(err) {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		switch {
		case e.Type()&fs.ModeSymlink != 0: // what it leads to has a path of its own
			continue
		case slices.ContainsFunc(s.hidden, func(h string) bool { return within(path, h) }):
			continue
		case s.holdsHidden(path):
			err = s.around(path, rights)
		case everybodys:
			continue
		case e.IsDir():
			err = s.add(path, rights)
		default:
			err = s.add(path, rights&useFile)
		}
		if err != nil && !passable(err) {
			return err
		}
	}
	return nil
}

// listing is what was in a folder when that was in this state.
type listing struct {
	dev, ino     uint64
	mtime, ctime unix.Timespec
	entries      []os.DirEntry
}

// listings are those of the folders on the way to what is hidden, few and the same for most children, by their paths.
var listings sync.Map

// unsure is how young a change may be that a folder's times do not tell from the next.
const unsure = time.Second

// list returns what is in a folder, and whether that is everybody's to write.
func list(folder string) (entries []os.DirEntry, everybodys bool, err error) {
	var is unix.Stat_t
	if err := unix.Stat(folder, &is); err != nil {
		return nil, false, &fs.PathError{Op: "stat", Path: folder, Err: err}
	}
	everybodys = is.Mode&unix.S_IWOTH != 0
	now := listing{dev: uint64(is.Dev), ino: is.Ino, mtime: is.Mtim, ctime: is.Ctim}
	if was, ok := listings.Load(folder); ok {
		l := was.(listing)
		if l.dev == now.dev && l.ino == now.ino && l.mtime == now.mtime && l.ctime == now.ctime {
			return l.entries, everybodys, nil
		}
	}
	now.entries, err = os.ReadDir(folder)
	if err == nil && time.Since(time.Unix(is.Ctim.Unix())) > unsure && tellsChanges(folder) {
		listings.Store(folder, now)
	}
	return now.entries, everybodys, err
}

// tellsChanges reports whether a folder is of a file system of this machine whose times tell of each change in it. Those of others, by a
// network or FUSE, may be what they were a while ago, or never change, as /sys's.
func tellsChanges(folder string) bool {
	const zfs = 0x2fc12fc1
	var is unix.Statfs_t
	if unix.Statfs(folder, &is) != nil {
		return false
	}
	switch uint32(is.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, zfs:
		return true
	}
	return false
}

// passable reports whether err says of a path no more than that it is of no use here, or not what it just was.
func passable(err error) bool {
	for _, e := range []error{fs.ErrNotExist, fs.ErrPermission, unix.ENOTDIR, unix.ESTALE, unix.ENOTCONN, unix.EINVAL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (s *ruleset) grant(path string, rights uint64) error {
	if fi, err := os.Lstat(path); err != nil {
		return err
	} else if !fi.IsDir() {
		rights &= useFile
	}
	return s.add(path, rights)
}

// add adds the rule. No right is one of folders where path is none.
func (s *ruleset) add(path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights & s.handled, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(s.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 && errno != unix.EBADFD { // which is of no file system of anybody's
		return &fs.PathError{Op: "landlock", Path: path, Err: errno}
	}
	return nil
}
