// Package plan decides what to do. Its functions are pure: what is wanted,
// what there is and what has been go in, actions come out. They touch no
// file, process or clock.
package plan

import (
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Handler is what the supervisor has under one name.
type Handler struct {
	Name string
	// Tried is the state of the file that was tried last, or is being tried.
	Tried handlerdir.ID
	// Unread says that the file was refused in the directory: it was never
	// admitted, and may be once the directory says so.
	Unread bool
	// Orphan says that a missing file does not end it.
	Orphan bool
}

// Actions bring what there is to what is wanted.
type Actions struct {
	Admit  []handlerdir.File // settled and not tried yet
	Refuse []handlerdir.File // refused in the directory, and not so reported yet
	Remove []string          // handlers whose file is gone
}

// Next compares a snapshot with what there is. A file that is still being
// written leaves its handler as it is.
func Next(snap *handlerdir.Snapshot, have []Handler) Actions {
	var a Actions
	tried := make(map[string]*Handler, len(have))
	for i := range have {
		tried[have[i].Name] = &have[i]
	}
	for _, f := range snap.Files {
		known := tried[f.Name]
		delete(tried, f.Name)
		switch {
		case known != nil && known.Tried == f.ID && !(known.Unread && f.Settled):
		case f.Refusal != nil:
			a.Refuse = append(a.Refuse, f)
		case f.Settled:
			a.Admit = append(a.Admit, f)
		}
	}
	for _, h := range have {
		if _, gone := tried[h.Name]; gone && !h.Orphan {
			a.Remove = append(a.Remove, h.Name)
		}
	}
	return a
}

// Claimant is a handler and the patterns it has, or had when it last served.
type Claimant struct {
	Name     string
	Patterns []string
	// Seniority is lower for a handler that went live earlier, 0 for one
	// that never did.
	Seniority int64
	// Live says that the patterns are served. If not, it is still being
	// tried, and its patterns are kept for it from those who came later.
	Live bool
	// Leaving are patterns that it serves too, and is about to give up.
	Leaving []string
}

// Verdict is the answer to a claim.
type Verdict int

// The verdicts.
const (
	Granted Verdict = iota
	Waits           // until a senior handler has been tried, or one that leaves has left
	Denied
)

// Claim decides whether a handler that was proved may have its patterns, which are of the
// dialect: the incumbent keeps a contested one, and across a restart the senior does.
func Claim(d routes.Dialect, c Claimant, others []Claimant) (Verdict, *refusal.Error) {
	verdict := Granted
	wants := newWants(d, c.Patterns)
	for _, o := range others {
		senior := o.Seniority > 0 && (c.Seniority == 0 || o.Seniority < c.Seniority)
		if o.Name == c.Name || !o.Live && !senior {
			continue
		}
		if _, _, ok := wants.contested(o.Leaving); ok {
			verdict = Waits
		}
		mine, theirs, ok := wants.contested(o.Patterns)
		switch {
		case !ok:
		case o.Live:
			return Denied, refusal.Taken(mine, o.Name, theirs)
		default:
			verdict = Waits
		}
	}
	return verdict, nil
}

// Room refuses a handler whose routes, size bytes, do not fit in one table beside
// those of the others: most bytes can be sent.
func Room(size, others, most int) *refusal.Error {
	if size+others > most {
		return refusal.TableFull(size+others, most)
	}
	return nil
}

// wants are the patterns that somebody wants, indexed: two handlers of thousands
// are compared in no time.
type wants struct{ *routes.Index[string] }

func newWants(d routes.Dialect, patterns []string) wants {
	return wants{routes.NewIndex(d, patterns, func(p string) string { return p })}
}

// contested returns what is wanted that cannot be served beside one of the
// patterns, and which.
func (w wants) contested(patterns []string) (mine, theirs string, ok bool) {
	return w.Conflicting(patterns...)
}

// Freed reports whether a pattern of old is not in current any more.
func Freed(old, current []string) bool {
	have := make(map[string]bool, len(current))
	for _, p := range current {
		have[p] = true
	}
	for _, p := range old {
		if !have[p] {
			return true
		}
	}
	return false
}
