package roster

import (
	"path"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/plan"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// Looks counts the looks at the directory, of which there is one at a time. The zero
// Looks has none.
type Looks struct {
	begun     uint64
	applied   uint64 // the last one whose snapshot was taken in
	under     bool   // one is under way
	again     bool   // another was asked for meanwhile
	all       bool   // the next is to be at the whole directory
	unsettled bool   // the snapshot asks for another one soon
	accept    uint64 // the one from which on a missing file is a removed one, whatever the directory; 0 if none
}

// Begin begins a look, if none is under way: else another follows that. It is to be at the whole
// directory where all says so, here or of one that did not begin.
func (l *Looks) Begin(all bool) (look uint64, whole, ok bool) {
	l.all = l.all || all
	if l.under {
		l.again = true
		return 0, false, false
	}
	whole = l.all
	l.under, l.again, l.all = true, false, false
	l.begun++
	return l.begun, whole, true
}

// Ended takes note of a look's end; unsettled says that there is to be another soon. After one that
// was in vain nobody knows what has changed.
func (l *Looks) Ended(look uint64, seen, unsettled bool) {
	l.under, l.applied, l.unsettled, l.all = false, look, unsettled, l.all || !seen
}

// Again reports whether another look was asked for during the last.
func (l *Looks) Again() bool { return l.again }

// Accept has a look that has not begun yet take what is missing as removed, and
// returns its number.
func (l *Looks) Accept() uint64 {
	l.accept = l.begun + 1
	return l.accept
}

// Reached reports whether the look of that number, or a later one, has ended.
func (l *Looks) Reached(look uint64) bool { return l.applied >= look }

// UnderWay reports whether a look is.
func (l *Looks) UnderWay() bool { return l.under }

func (l *Looks) quiet() bool { return l.applied > 0 && !l.under && !l.unsettled }

// See takes in what a look has seen. It keeps the handlers that have no file in a
// directory that is not the one of before, and names them: nobody has removed them.
// It may have been unmounted, or its successor is still being filled. A look that
// Accept has asked for ends them.
func (r *Roster) See(look uint64, snap *handlerdir.Snapshot) (steps []Step, orphaned []string) {
	before := r.Snapshot
	r.Snapshot = snap
	if before != nil && len(before.Skipped) > 0 {
		r.skipped = make(map[string]bool)
		for _, name := range before.Skipped {
			r.skipped[name] = r.file(name) != nil
		}
	}
	accepted := look >= r.Looks.accept && r.Looks.accept > 0
	replaced := before != nil && (snap.Dir.Dev != before.Dir.Dev || snap.Dir.Ino != before.Dir.Ino)
	if accepted {
		r.Looks.accept = 0
	}
	if before != nil && !replaced && r.tally.counts[isOrphaned] == 0 {
		return nil, nil // as most often, among however many
	}
	here := make(map[string]bool, len(snap.Files))
	for _, f := range snap.Files {
		here[f.Name] = true
	}
	for _, h := range r.Handlers {
		switch missing := !here[h.Name] && !accepted; {
		case h.Presence == states.Orphaned && !missing:
			steps = append(steps, Step{h.Name, lifecycle.FileSeen{}})
		case h.Presence != states.Orphaned && missing && replaced && h.Live != nil && h.Presence != states.Leaving:
			steps = append(steps, Step{h.Name, lifecycle.FileOrphaned{}})
			orphaned = append(orphaned, h.Name)
		}
	}
	slices.Sort(orphaned)
	if before == nil {
		r.first = here
	}
	return steps, orphaned
}

// Lost is what handlers are told where the directory cannot even be read once: what
// was live before serves from the store.
func (r *Roster) Lost() (steps []Step) {
	if r.Snapshot != nil {
		return nil // all stays as it is
	}
	for name, record := range r.History {
		if record.Seq > 0 && canary.Of(name) == "" { // else it is gone, or comes with its file alone
			steps = append(steps, Step{name, lifecycle.FallBack{}})
		}
	}
	return steps
}

// Meanwhile says what is served while the directory cannot be read.
func (r *Roster) Meanwhile() string {
	switch {
	case r.Snapshot != nil:
		return "what is live stays live"
	case len(r.Lost()) > 0: // and no file of it was seen: the directory's name may be mistyped
		return "what served before this start is served, out of --state"
	}
	return "nothing is served"
}

// Compare returns what handlers are to be told of the snapshot. writes counts what
// was written to the file of a name.
func (r *Roster) Compare(writes func(file string) uint64) []Step {
	have := make([]plan.Handler, 0, len(r.Handlers))
	for _, h := range r.Handlers {
		known := plan.Handler{Name: h.Name, Tried: h.Tried, Unread: h.Refusal != nil && h.Refusal.Unread, Orphan: h.Presence == states.Orphaned}
		if !known.Unread && h.Admission == states.Idle && h.GivenUp(h.Content.Sum) && writes(h.File) != h.Content.Writes {
			known.Tried = handlerdir.ID{} // the same content was written, which the file's state need not show
		}
		have = append(have, known)
	}
	steps := r.seen()
	todo := plan.Next(r.Snapshot, have)
	for _, name := range todo.Remove {
		steps = append(steps, Step{name, lifecycle.FileGone{}})
	}
	for _, f := range todo.Refuse {
		if !r.Ignores(f) {
			steps = append(steps, Step{f.Name, lifecycle.FileRefused{Name: path.Base(f.Path), ID: f.ID, Refusal: f.Refusal}})
		}
	}
	for _, f := range todo.Admit {
		steps = append(steps, Step{f.Name, lifecycle.FileSettled{Name: path.Base(f.Path), ID: f.ID}})
	}
	return steps
}

// seen takes over from the snapshot whose file is there.
func (r *Roster) seen() (steps []Step) {
	for _, f := range r.Snapshot.Files {
		h := r.Handlers[f.Name]
		if h != nil && (f.Missed() != (h.Presence == states.Missed) || h.Presence == states.Leaving) {
			steps = append(steps, Step{f.Name, lifecycle.FileSeen{Missed: f.Missed()}})
		}
	}
	return steps
}

// Ignores reports whether a file is left alone: a library that lies beside the
// plugins that link it, where no handler of its name was ever served.
func (r *Roster) Ignores(f handlerdir.File) bool {
	return f.Library && r.Handlers[f.Name] == nil && r.History[f.Name].Seq == 0
}

// WithOtherCells returns those that no cell could load, to be tried again.
func (r *Roster) WithOtherCells() (steps []Step) {
	for _, h := range r.Handlers {
		if h.Refusal != nil && h.Refusal.Retry == states.WithCells {
			steps = append(steps, Step{h.Name, lifecycle.TryAgain{}})
		}
	}
	return steps
}

// WithOtherSettings returns those that were refused on their settings, or have others now, to be tried again. What was
// refused unread, or given up, is not: that was not for them.
func (r *Roster) WithOtherSettings(changed func(handler string) bool) (steps []Step) {
	for _, h := range r.Handlers {
		why := h.Refusal
		if why == nil || why.Unread || why.Of != "" {
			continue
		}
		if why.Retry == states.WithSettings || why.Retry == states.OnChange && changed(h.Name) {
			steps = append(steps, Step{h.Name, lifecycle.TryAgain{}})
		}
	}
	return steps
}

// All returns all, to be tried again.
func (r *Roster) All() (steps []Step) {
	for name, h := range r.Handlers {
		if h.Tried != (handlerdir.ID{}) {
			steps = append(steps, Step{name, lifecycle.TryAgain{}})
		}
	}
	return steps
}

// File is the newest file of that name, which was seen.
func (r *Roster) File(name string) handlerdir.File { return *r.file(name) }

// file is that, nil if there is none.
func (r *Roster) file(name string) *handlerdir.File {
	if r.Snapshot == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(r.Snapshot.Files, name, func(f handlerdir.File, name string) int { return strings.Compare(f.Name, name) })
	if !found {
		return nil
	}
	return &r.Snapshot.Files[i]
}

// Seen are the names of the files that no handler has come of yet.
func (r *Roster) Seen() (names []string) {
	if r.Snapshot == nil {
		return nil
	}
	for _, f := range r.Snapshot.Files {
		if r.Handlers[f.Name] == nil && !r.Ignores(f) {
			names = append(names, f.Name)
		}
	}
	return names
}
