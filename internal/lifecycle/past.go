package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
)

// Content is what was in a handler's file when it was admitted.
type Content struct {
	Sum      string
	Dev, Ino uint64
	Writes   uint64 // that were seen of the file until then
}

// Anew reports whether somebody has put into the directory what is there now:
// other content, another file, or the same file written again. Its owner, its
// mode and its times say nothing. atStart says that then is not known, for the
// file was there when the daemon started.
func Anew(now, then Content, atStart bool) bool { return now != then && !atStart }

// origin is where a version came from, and since when it is live.
type origin struct {
	sum   string
	mixed bool // it may be; see Seat
	live  time.Time
}

// passing reports whether a version was no more than a moment of the next one's
// being written: it came by writing in place, its build ID does not prove that
// it is what was built, and it was replaced before it had served for a while. It
// may be a part of this file and a part of that, and is none to go back to.
func (o origin) passing(next origin) bool {
	return o.mixed && o.sum != next.sum && next.live.Sub(o.live) < livedTime
}

// served puts into the record what is live now.
func (h *Handler) served(seq int64) {
	r, st := &h.Record, h.Live
	if r.Seq == 0 {
		r.Seq = seq
	}
	r.Patterns, r.Serves = st.Patterns, st.Version.Sum
	now := store.Served{Sum: st.Version.Sum, Live: h.Since}
	r.Versions = slices.Clone(r.Versions)
	if st.Why == Newest {
		next := origin{sum: now.Sum, mixed: st.Mixed, live: now.Live}
		if was := h.origin; was.passing(next) {
			r.Versions = slices.DeleteFunc(r.Versions, func(v store.Served) bool { return v.Sum == was.sum })
		}
		h.origin = next
	}
	at := slices.IndexFunc(r.Versions, func(v store.Served) bool { return v.Sum == now.Sum })
	switch {
	case at >= 0 && st.Why != Newest:
		r.Versions[at] = now
	case at >= 0:
		r.Versions = append(slices.Delete(r.Versions, at, at+1), now)
	default:
		r.Versions = append(r.Versions, now)
	}
	r.Versions = r.Versions[max(0, len(r.Versions)-store.KeptVersions):]
	r.Bad = slices.DeleteFunc(slices.Clone(r.Bad), func(sum string) bool { return sum == st.Version.Sum })
	h.do(Save{})
}

// asked reports whether somebody has put an admitted file into the directory
// since the last. Then it has another chance, as if it were new.
func (h *Handler) asked(now Content) bool {
	anew := Anew(now, h.Content, h.atStart)
	h.Content, h.atStart = now, false
	if anew {
		h.crashTimes = nil
		if h.GivenUp(now.Sum) {
			h.forgive(now.Sum)
		}
	}
	return anew
}

// forgive takes back what was held against a version.
func (h *Handler) forgive(sum string) {
	h.Record.Bad = slices.DeleteFunc(slices.Clone(h.Record.Bad), func(bad string) bool { return bad == sum })
	if h.Record.Held == sum {
		h.Record.Held = ""
	}
	h.do(Save{})
}

// give remembers why a version is given up. What was written before counts for
// nothing from now on.
func (h *Handler) give(sum string, why *refusal.Error) {
	if h.given == nil {
		h.given = make(map[string]*refusal.Error)
	}
	for other := range h.given {
		if !h.GivenUp(other) {
			delete(h.given, other)
		}
	}
	h.given[sum] = why
	h.Content.Writes = h.now.Writes
}

// hold remembers that an operator has rolled the version from back, so that its
// file is not served after a restart either. Rolled back further, it is still
// the newest.
func (h *Handler) hold(from string) {
	switch {
	case h.Live == nil:
		return
	case h.Record.Held == h.Live.Version.Sum: // forth again
		h.Record.Held = ""
		h.Refusal, h.RolledBack = nil, false
	case h.Record.Held == "":
		h.Record.Held = from
		h.Refusal = &Refusal{Error: refusal.RolledBack(h.Name, store.Version{Sum: from}.Short()), Of: from, Held: true}
		h.give(from, h.Refusal.Error)
	}
	h.do(Save{})
}

// earlier are the sums of the versions to go back to by itself: that which served
// last, then the newest. What was given up is none of them.
func (h *Handler) earlier() (sums []string) {
	r := h.Record
	all := []string{r.Serves}
	for _, v := range slices.Backward(r.Versions) {
		if v.Sum != r.Held {
			all = append(all, v.Sum)
		}
	}
	for _, sum := range all {
		if sum != "" && !h.IsBad(sum) && !slices.Contains(sums, sum) {
			sums = append(sums, sum)
		}
	}
	return sums
}

// Target is the sum of the version that an operator wants; an empty one is the
// newest before that which serves. The error says why there is none.
func (h *Handler) Target(version string) (string, error) {
	serves := ""
	if h.Live != nil {
		serves = h.Live.Version.Sum
	}
	if version != "" && strings.HasPrefix(serves, version) && h.Serves() {
		return "", fmt.Errorf("version %s of %q serves already", h.Live.Version.Short(), h.Name)
	}
	before := serves == ""
	for _, v := range slices.Backward(h.Record.Versions) {
		if version != "" && strings.HasPrefix(v.Sum, version) || version == "" && before && !h.IsBad(v.Sum) {
			return v.Sum, nil
		}
		before = before || v.Sum == serves
	}
	if version == "" {
		return "", fmt.Errorf("there is no earlier version of %q that served well", h.Name)
	}
	return "", fmt.Errorf("there is no version %q of %q in the store; see plugserverctl history %s", version, h.Name, h.Name)
}
