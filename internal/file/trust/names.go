package trust

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// UserName is "" for whoever the daemon's user namespace does not show.
func UserName(uid uint32) string {
	if unseen(uid, overflow("uid"), ownMap("uid_map")) {
		return ""
	}
	id := idText(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// GroupName is "" as UserName is.
func GroupName(gid uint32) string {
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
