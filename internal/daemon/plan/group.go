package plan

import (
	"fmt"
	"slices"
	"strings"
)

// The handlers of a group are to share a process. Each version is first proved and
// made live in one of its own, so that a bad one is found out alone; once nothing is
// under way for any of them, those that agree are gathered in a new one. When a shared
// process dies each gets one of its own again, and the group rests: so the one
// whose fault it was shows.

// Member is a handler of a group that serves, and for which nothing is under way.
type Member struct {
	Name    string
	Version string // that serves
	Limits  string // of its process; whatever tells them from others
	Shares  bool   // it is in a shared process
}

// Seating tells one choice of members from another; that of none is "".
func Seating(members []Member) string {
	var b strings.Builder
	for _, m := range members {
		fmt.Fprintf(&b, "%s %s %s\n", m.Name, m.Version, m.Limits)
	}
	return b.String()
}

// Group is a group as it is: the seatings of its processes, "" where there is none.
type Group struct {
	Serves string // the shared one's
	Starts string // of the one that is to be
	Failed string // of the last attempt, if that failed
	Rests  bool   // a shared one died lately
}

// Gathering is what is to become of a group.
type Gathering struct {
	Members []int             // that are to share a process, by their place among those given
	Apart   map[string]string // why the others do not
	Drop    bool              // the one that starts is not wanted any more
	Start   bool              // one is to be started for the members
	Part    bool              // the last member needs no shared one: it is to have one of its own
}

// Gather decides on a group whose members are given, sorted by name; there is at least
// one. agree says why two of them cannot be in one process.
func Gather(g Group, all []Member, agree func(i, j int) error) (to Gathering) {
	to.Apart = make(map[string]string)
	var members []Member
	for i, m := range all {
		if why := disagrees(i, to.Members, all, agree); why != "" {
			to.Apart[m.Name] = why
			continue
		}
		to.Members = append(to.Members, i)
		members = append(members, m)
	}
	if g.Rests {
		for _, m := range members {
			to.Apart[m.Name] = "the shared cell has crashed: its handlers are alone for a while"
		}
		return to
	}
	want := Seating(members)
	if g.Serves == want || g.Starts == want {
		return to // as it is to be
	}
	to.Drop = g.Starts != ""
	switch {
	case g.Failed == want:
	case len(members) > 1:
		to.Start = true
	default:
		to.Part = members[0].Shares
	}
	return to
}

// disagrees says why one cannot share a process with the others, "" if it can.
func disagrees(i int, others []int, all []Member, agree func(i, j int) error) string {
	for _, o := range others {
		if err := agree(i, o); err != nil {
			return fmt.Sprintf("does not agree with %s: %v", all[o].Name, err)
		}
	}
	return ""
}

// Arrival is a member in a shared process that is proved.
type Arrival struct {
	Name   string
	Same   bool     // it still serves the version that is in there, and nothing is under way for it
	Serves []string // its patterns
	Offers []string // those that it has in there
}

// Admit decides on a shared process that is proved: whether its members may move into
// it. If not, differs names the one that has other patterns in there, for which it is
// not tried again; it is "" where one has changed meanwhile.
func Admit(all []Arrival) (ok bool, differs string) {
	for _, a := range all {
		if !a.Same {
			return false, ""
		}
		if !slices.Equal(a.Serves, a.Offers) {
			return false, a.Name
		}
	}
	return true, ""
}

// restMax bounds the rest of a group.
const restMax = 60

// RestMinutes is how many minutes the members of a group stay alone after the death of
// a shared process, by how many died before.
func RestMinutes(deaths int) int { return min(1<<min(deaths, 20), restMax) }
