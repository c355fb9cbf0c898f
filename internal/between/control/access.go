package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/peer"
	"golang.org/x/sys/unix"
)

// Operators are who is answered beside root.
type Operators struct {
	Group    string // its members, once the socket has it, and nobody else of our own user; "" is our own user and group
	Ancestor int    // but nobody of our own user who descends from this process; 0 is none
}

// check says of a connection to the socket at path why its peer is not answered; nil is that it is.
func (who Operators) check(path string) func(net.Conn) error {
	return func(c net.Conn) error {
		p, err := peer.Of(c, who.Ancestor)
		if err != nil {
			return errors.New("plugserverd cannot tell who is asking; connect to its Unix socket")
		}
		return accessTo(path, who.Group).check(p)
	}
}

// access is who may speak to the daemon, beside root.
type access struct {
	uid    int    // the daemon's own
	gids   []int  // of who may
	admins string // the group whose members alone may: nobody else of the daemon's own user
}

// accessTo is the access to the socket at path now. With admins it is for the group that the socket has: we have given
// it that, or root has, and who connects has passed it. In a user namespace other groups cannot be told
// from each other: there what the socket's mode says is all that is known of who has connected.
func accessTo(path, admins string) access {
	a := access{uid: os.Geteuid(), gids: []int{os.Getegid()}, admins: admins}
	if admins == "" {
		return a
	}
	a.gids = nil
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Mode&0o007 != 0 {
		return a
	}
	if int(st.Gid) == os.Getegid() { // which it is made with
		if gid, err := Group(admins); err != nil || gid != os.Getegid() {
			return a
		}
	}
	a.gids = []int{int(st.Gid)}
	return a
}

// check returns nil if p may speak to the daemon.
func (a access) check(p peer.Peer) error {
	foreign := a.admins != "" && p.UID == a.uid && a.uid != 0 // whoever it is
	if !foreign && (p.UID == a.uid || a.uid == 0) {           // no cell is another's, but root's may become one
		if p.Confined {
			return fmt.Errorf("process %d may not control plugserverd: it is in a sandbox, as handlers are; run it outside, or as root", p.PID)
		}
		if p.Child {
			return fmt.Errorf("process %d may not control plugserverd, which has started it, or who has started it: it is a handler's; run it outside", p.PID)
		}
	}
	member := slices.ContainsFunc(p.GIDs, func(gid int) bool { return slices.Contains(a.gids, gid) })
	if !foreign && (p.UID == 0 || p.UID == a.uid || member) {
		return nil
	}
	mend := "run as root"
	switch {
	case a.admins != "":
		mend += " or join the group " + a.admins
	case len(a.gids) > 0:
		names := make([]string, len(a.gids))
		for i, gid := range a.gids {
			names[i] = groupName(gid)
		}
		mend += " or join the group " + strings.Join(names, " or ")
	}
	return fmt.Errorf("process %d of user %d may not control plugserverd; %s", p.PID, p.UID, mend)
}

// Group is the number of a group, which is named or numbered.
func Group(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("there is no group %q; make it: groupadd --system %s", name, name)
	}
	return strconv.Atoi(g.Gid)
}

func groupName(gid int) string {
	id := strconv.Itoa(gid)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
