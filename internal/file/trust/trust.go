// Package trust judges who may decide what stands at a path.
//
// What runs is decided by whoever may write to a file, or put another in its
// place: by whoever may write to its folder, to a folder above, or to one that a
// link on the way leads through. Each step has to be root's or the daemon's
// alone. In a folder with the sticky bit, such as /tmp, what is theirs is safe
// from others (inode(7)).
package trust

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/lstat"
	"golang.org/x/sys/unix"
)

// Rules say who is trusted besides root.
type Rules struct {
	UID, GID uint32 // the daemon's own
	// Members names the accounts of a group; nil asks the system.
	Members func(gid uint32) []string
	// ReadOnly says whether path is on a mount that nothing can be changed on;
	// nil asks the system.
	ReadOnly func(path string) bool
}

// maxLinks is how many links are followed, as the kernel does (path_resolution(7)).
const maxLinks = 40

// Follow goes an absolute path from the root, through links, and returns what it
// leads to, and where that is. A refusal names the first step that others could
// have made. The error is the system's.
func (r *Rules) Follow(path string) (real string, st unix.Stat_t, refused *refusal.Error, err error) {
	real = "/"
	if err = lstat.Path(real, &st); err != nil {
		return
	}
	links, todo := 0, steps(path)
	for len(todo) > 0 {
		step := todo[0]
		todo = todo[1:]
		if step == ".." {
			real = filepath.Dir(real)
			if err = lstat.Path(real, &st); err != nil {
				return
			}
			continue
		}
		folder, in := st, real
		real = filepath.Join(real, step)
		if err = lstat.Path(real, &st); err != nil {
			return
		}
		if refused = r.entry(in, &folder, &st); refused != nil {
			return
		}
		if lstat.Mode(st.Mode) != os.ModeSymlink {
			continue
		}
		if links++; links > maxLinks {
			err = unix.ELOOP
			return
		}
		var target string
		if target, err = os.Readlink(real); err != nil {
			err = lstat.Errno(err)
			return
		}
		if st.Uid != 0 && st.Uid != r.UID {
			refused = badfile.Link(real, badfile.ForeignOwner(real, UserName(st.Uid), UserName(r.UID)))
			return
		}
		todo = append(steps(target), todo...)
		if real, st = in, folder; filepath.IsAbs(target) {
			real = "/"
			if err = lstat.Path(real, &st); err != nil {
				return
			}
		}
	}
	return
}

// steps are the names in a path.
func steps(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." })
}

// entry judges whether others could have put an entry into a folder, or could
// take it out.
func (r *Rules) entry(path string, folder, entry *unix.Stat_t) *refusal.Error {
	refused := r.Writers(path, folder)
	trusted := func(st *unix.Stat_t) bool { return st.Uid == 0 || st.Uid == r.UID }
	if refused == nil || folder.Mode&unix.S_ISVTX != 0 && trusted(folder) && trusted(entry) {
		return nil
	}
	return badfile.Folder(path, refused)
}

// Directory judges the handlers directory itself, and all above it. What cannot
// be found is for others to say.
func (r *Rules) Directory(dir string) *refusal.Error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil
	}
	real, st, refused, err := r.Follow(path)
	switch {
	case err != nil:
		return nil
	case refused != nil:
		return refused
	}
	if refused := r.Writers(real, &st); refused != nil {
		return badfile.Folder(real, refused)
	}
	return nil
}

// Writers judges who may write to what is at path. What is mounted read-only is
// judged likewise: the same folder may be mounted, or lie, elsewhere for others.
func (r *Rules) Writers(path string, st *unix.Stat_t) *refusal.Error {
	refused := r.mayWrite(path, st)
	readOnly := r.ReadOnly
	if readOnly == nil {
		readOnly = mountedReadOnly
	}
	if refused != nil && readOnly(path) {
		return badfile.ReadOnlyMount(refused)
	}
	return refused
}

func mountedReadOnly(path string) bool {
	var st unix.Statfs_t
	return lstat.Retry(func() error { return unix.Statfs(path, &st) }) == nil && st.Flags&unix.ST_RDONLY != 0
}

func (r *Rules) mayWrite(path string, st *unix.Stat_t) *refusal.Error {
	switch {
	case st.Uid != 0 && st.Uid != r.UID:
		return badfile.ForeignOwner(path, UserName(st.Uid), UserName(r.UID))
	case st.Mode&unix.S_IWOTH != 0:
		return badfile.WritableByOthers(path)
	case st.Mode&unix.S_IWGRP == 0:
		return nil // the bits bound what an access control list grants (acl(5))
	}
	acl := make([]byte, 4<<10)
	n, err := unix.Lgetxattr(path, "system.posix_acl_access", acl)
	if err != nil {
		return r.groupWriters(path, st.Gid)
	}
	return r.listWriters(path, st, acl[:n])
}

// groupWriters judges a group that may write.
func (r *Rules) groupWriters(path string, gid uint32) *refusal.Error {
	if gid != 0 && gid != r.GID {
		return badfile.WritableByGroup(path, GroupName(gid), "")
	}
	members := r.Members
	if members == nil {
		members = groupMembers
	}
	for _, name := range members(gid) {
		if name != "root" && name != UserName(r.UID) {
			return badfile.WritableByGroup(path, GroupName(gid), name)
		}
	}
	return nil
}

// The entries of an access control list (linux/posix_acl_xattr.h).
const (
	aclHead, aclEntry                        = 4, 8
	aclUser, aclGroupObj, aclGroup, aclWrite = 0x02, 0x04, 0x08, 0x02
)

// listWriters judges an access control list whose mask lets somebody write.
func (r *Rules) listWriters(path string, st *unix.Stat_t, acl []byte) *refusal.Error {
	for acl = acl[min(aclHead, len(acl)):]; len(acl) >= aclEntry; acl = acl[aclEntry:] {
		tag, perm, id := binary.LittleEndian.Uint16(acl), binary.LittleEndian.Uint16(acl[2:]), binary.LittleEndian.Uint32(acl[4:])
		if perm&aclWrite == 0 {
			continue
		}
		var refused *refusal.Error
		switch tag {
		case aclUser:
			if id != 0 && id != r.UID {
				return badfile.WritableByList(path, "user", listed(id, UserName))
			}
		case aclGroupObj:
			refused = r.groupWriters(path, st.Gid)
		case aclGroup:
			if r.groupWriters(path, id) != nil {
				return badfile.WritableByList(path, "group", listed(id, GroupName))
			}
		}
		if refused != nil {
			return refused
		}
	}
	return nil
}

// listed names an id of an access control list, where a user namespace shows all
// unseen as -1.
func listed(id uint32, name func(uint32) string) string {
	if id == ^uint32(0) {
		return ""
	}
	return name(id)
}

// groupMembers are the names of the accounts on this machine that belong to a
// group. Of root's group it tells only those that were made members: accounts of
// the system have it as their own.
func groupMembers(gid uint32) (names []string) {
	each := func(file string, fields int, f func(fields []string)) {
		text, err := os.ReadFile(file)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(text)) {
			if parts := strings.Split(strings.TrimSpace(line), ":"); len(parts) >= fields {
				f(parts)
			}
		}
	}
	id := idText(gid)
	each("/etc/group", 4, func(f []string) {
		if f[2] == id && f[3] != "" {
			names = append(names, strings.Split(f[3], ",")...)
		}
	})
	if gid != 0 {
		each("/etc/passwd", 4, func(f []string) {
			if f[3] == id {
				names = append(names, f[0])
			}
		})
	}
	return names
}
