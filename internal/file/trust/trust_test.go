package trust

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// list is an access control list of user::rwx, what is given, mask::rwx and
// other::r-x.
func list(tag uint16, perm uint16, id uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for i, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 7, ^uint32(0)}, {tag, perm, id}, {4, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 5, ^uint32(0)}} {
		if i == 2 && tag == e.tag {
			continue
		}
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// Whoever an access control list lets write is another, but for root, the
// daemon, and their groups without other members.
func TestAccessControlLists(t *testing.T) {
	r := Rules{UID: 4000, GID: 4001, Members: func(gid uint32) []string { return map[uint32][]string{0: {"root"}, 4001: {"4000"}}[gid] }}
	for _, tt := range []struct {
		name string
		acl  []byte
		gid  uint32
		want string
	}{
		{"a user", list(aclUser, 6, 4321), 0, `file is writable by user "4321", by its access control list; setfacl -b /h/a.so`},
		{"a user who may read", list(aclUser, 5, 4321), 0, ""},
		{"the daemon", list(aclUser, 7, 4000), 0, ""},
		{"root", list(aclUser, 7, 0), 0, ""},
		{"a group", list(aclGroup, 2, 4321), 0, `file is writable by group "4321", by its access control list; setfacl -b /h/a.so`},
		{"the daemon's group", list(aclGroup, 7, 4001), 0, ""},
		{"the file's group", list(aclGroupObj, 7, ^uint32(0)), 4321, `file is writable by group "4321"; chmod g-w /h/a.so`},
		{"the file's group, root's", list(aclGroupObj, 7, ^uint32(0)), 0, ""},
		{"no list", nil, 4321, ""},
	} {
		got := ""
		if refused := r.listWriters("/h/a.so", &unix.Stat_t{Gid: tt.gid}, tt.acl); refused != nil {
			got = refused.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A group's write bit is no harm while only root and the daemon are in it.
func TestGroupMembers(t *testing.T) {
	r := Rules{UID: 0, GID: 4001}
	for _, tt := range []struct {
		gid     uint32
		members []string
		want    string
	}{
		{0, nil, ""},
		{4001, []string{"root"}, ""},
		{4001, []string{"root", "eve"}, `file is writable by group "4001", and so by "eve"`},
		{4321, nil, `file is writable by group "4321"`},
	} {
		r.Members = func(uint32) []string { return tt.members }
		got := ""
		if refused := r.groupWriters("/h/a.so", tt.gid); refused != nil {
			got = refused.Reason
		}
		if got != tt.want {
			t.Errorf("group %d of %q: %q, want %q", tt.gid, tt.members, got, tt.want)
		}
	}
	if found := groupMembers(4294967294); found != nil {
		t.Errorf("members of no group: %q", found)
	}
}
