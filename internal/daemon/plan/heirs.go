package plan

import (
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/routes"
)

// Stake is what a handler has, and what it is about to have instead.
type Stake struct {
	Name string
	Has  []string // the patterns that it serves
	// Wants are those of a version that is proved and waits; nil where none is.
	Wants []string
	// Leaves says that its file is gone, or missed: it has no version that follows.
	Leaves bool
}

// Divide tells the patterns that the handler keeps whatever comes from those
// that it gives up, which it serves until others can.
func (s Stake) Divide() (keeps, gives []string) {
	wants := make(map[string]bool, len(s.Wants))
	for _, p := range s.Wants {
		wants[p] = true
	}
	for _, p := range s.Has {
		if s.Leaves || s.Wants != nil && !wants[p] {
			gives = append(gives, p)
		} else {
			keeps = append(keeps, p)
		}
	}
	return keeps, gives
}

// PassOn decides on all that is proved at once, so that patterns change hands in
// one table: who leaves has nothing any more, who is granted has what it wants
// and who is denied what it had. The earlier in stakes comes first. All patterns are of
// the dialect.
func PassOn(d routes.Dialect, stakes []Stake) (granted []string, denied map[string]*refusal.Error) {
	denied = make(map[string]*refusal.Error)
	all := make([]wants, len(stakes))
	for i, s := range stakes {
		if s.Wants != nil {
			all[i] = newWants(d, s.Wants)
		}
	}
	for {
		name, refused := deny(stakes, all, denied)
		if refused == nil {
			break
		}
		denied[name] = refused // and keeps what others may have counted on
	}
	for _, s := range stakes {
		if s.Wants != nil && denied[s.Name] == nil {
			granted = append(granted, s.Name)
		}
	}
	return granted, denied
}

// deny returns the first that cannot be granted what it wants, which is indexed in
// all, given those that are denied already.
func deny(stakes []Stake, all []wants, denied map[string]*refusal.Error) (string, *refusal.Error) {
	for i, s := range stakes {
		if s.Wants == nil || denied[s.Name] != nil {
			continue
		}
		for j, o := range stakes {
			theirs := o.Has
			switch {
			case i == j, o.Leaves:
				continue
			case o.Wants == nil || denied[o.Name] != nil:
			case j < i:
				theirs = o.Wants
			default:
				continue
			}
			if mine, taken, ok := all[i].contested(theirs); ok {
				return s.Name, refusal.Taken(mine, o.Name, taken)
			}
		}
	}
	return "", nil
}
