// Package past knows what one handler has been: which versions have served and which
// were given up, what was in its file, and which to go back to. It is pure.
package past

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

const (
	// livedTime is for how long a version has to serve to be history where the
	// next one was written over it in place: it may have been a part of that.
	livedTime = 10 * time.Second
	// BadKept bounds the versions that are remembered as bad.
	BadKept = 8
	// maxWhy bounds the reason that is remembered of each, in bytes.
	maxWhy = 1000
)

// Past is that of one handler. Its fields are for reading.
type Past struct {
	Record  store.Record
	Content Content // what was admitted last

	atStart bool                      // its file was there when the daemon started, and is not known yet
	origin  origin                    // of the newest version that was live
	given   map[string]*refusal.Error // why versions were given up, by sum; of those in the record's Bad, Held and Superseded
}

// New returns the past that a record tells of. atStart says that the handler's file
// was there when the daemon started.
func New(r store.Record, atStart bool) Past { return Past{Record: r, atStart: atStart} }

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
	mixed bool // it may be; see Served
	live  time.Time
}

// passing reports whether a version was no more than a moment of the next one's
// being written: it came by writing in place, its build ID does not prove that
// it is what was built, and it was replaced before it had served for a while. It
// may be a part of this file and a part of that, and is none to go back to.
func (o origin) passing(next origin) bool {
	return o.mixed && o.sum != next.sum && next.live.Sub(o.live) < livedTime
}

// IsBad reports whether a version has crashed too often.
func (p *Past) IsBad(sum string) bool { return slices.Contains(p.Record.Bad, sum) }

// GivenUp reports whether a version is not to be served by itself: it crashed
// too often, an operator has rolled it back, or a canary has taken its place.
func (p *Past) GivenUp(sum string) bool {
	return p.IsBad(sum) || p.Record.Held == sum || p.Record.Superseded == sum
}

// HasGivenUp reports whether there is any version that it is true of.
func (p *Past) HasGivenUp() bool {
	return len(p.Record.Bad) > 0 || p.Record.Held != "" || p.Record.Superseded != ""
}

// WhyGivenUp says why, nil where that is not known any more.
func (p *Past) WhyGivenUp(sum string) *refusal.Error { return p.given[sum] }

// Served is a version that has gone live.
type Served struct {
	Sum       string
	Patterns  []string
	Live      time.Time
	Newest    bool   // it is the handler's newest file, and not one that has served before
	Mixed     bool   // it may be a mixture: written in place over another version, and not proved to be whole
	Signature string // store.Version's
}

// Served puts into the record what is live now. seq is the seniority of a handler
// that has none yet.
func (p *Past) Served(v Served, seq int64) {
	r := &p.Record
	if r.Seq == 0 {
		r.Seq = seq
	}
	r.Patterns, r.Serves = v.Patterns, v.Sum
	r.Versions = slices.Clone(r.Versions)
	if v.Newest {
		next := origin{sum: v.Sum, mixed: v.Mixed, live: v.Live}
		if was := p.origin; was.passing(next) {
			r.Versions = slices.DeleteFunc(r.Versions, func(v store.Served) bool { return v.Sum == was.sum })
		}
		p.origin = next
		r.Held, r.Superseded = "", ""
	}
	if v.Sum == r.Superseded {
		r.Superseded = "" // it is back
	}
	now := store.Served{Sum: v.Sum, Live: v.Live, Signature: v.Signature}
	p.mark(v.Signature)
	at := slices.IndexFunc(r.Versions, func(v store.Served) bool { return v.Sum == now.Sum })
	switch {
	case at >= 0 && !v.Newest:
		r.Versions[at] = now
	case at >= 0:
		r.Versions = append(slices.Delete(r.Versions, at, at+1), now)
	default:
		r.Versions = append(r.Versions, now)
	}
	r.Versions = r.Versions[max(0, len(r.Versions)-store.KeptVersions):]
	p.notBad(v.Sum)
}

// Signed takes in the signature that a version of the record has now, and reports whether it had another.
func (p *Past) Signed(v store.Version) (changed bool) {
	at := slices.IndexFunc(p.Record.Versions, func(s store.Served) bool { return s.Sum == v.Sum })
	if at < 0 || p.Record.Versions[at].Signature == v.Signature {
		return false
	}
	p.Record.Versions = slices.Clone(p.Record.Versions)
	p.Record.Versions[at].Signature = v.Signature
	p.mark(v.Signature)
	return true
}

// mark takes note of the newest signature.
func (p *Past) mark(text string) {
	if said, err := signature.Parse(text); err == nil && signature.Compare(said, Newest(p.Record)) > 0 {
		p.Record.Newest = store.Mark{Version: said.Version, Time: said.Time}
	}
}

// Newest is what the newest signature says that was served, of all that the records tell of.
func Newest(records ...store.Record) (newest signature.Signed) {
	for _, r := range records {
		if said := (signature.Signed{Version: r.Newest.Version, Time: r.Newest.Time}); signature.Compare(said, newest) > 0 {
			newest = said
		}
	}
	return newest
}

// Asked takes in what is in the file now, and reports whether somebody has put it
// into the directory since the last: then it has another chance, as if it were new.
// changed says that the record is another one for it.
func (p *Past) Asked(now Content) (anew, changed bool) {
	anew = Anew(now, p.Content, p.atStart)
	p.Content, p.atStart = now, false
	if anew && p.GivenUp(now.Sum) {
		p.notBad(now.Sum)
		if p.Record.Held == now.Sum {
			p.Record.Held = ""
		}
		if p.Record.Superseded == now.Sum {
			p.Record.Superseded = ""
		}
		return anew, true
	}
	return anew, false
}

func (p *Past) notBad(sum string) {
	p.Record.Bad = slices.DeleteFunc(slices.Clone(p.Record.Bad), func(bad string) bool { return bad == sum })
	p.because(sum, "")
}

// Seen says that it is known what was in the file when the daemon started.
func (p *Past) Seen() { p.atStart = false }

// Forgive takes back what is held against any version.
func (p *Past) Forgive() {
	p.Record.Bad, p.Record.Why, p.Record.Held, p.Record.Superseded, p.atStart = nil, nil, "", "", false
}

// GiveUp remembers that a version has crashed too often, and why. What was written
// before counts for nothing from now on. It reports whether the record is another one.
func (p *Past) GiveUp(sum string, why *refusal.Error, writes uint64) (changed bool) {
	was := p.Record.Why[sum]
	changed = p.bad(sum, why, writes)
	p.because(sum, why.Reason)
	return changed || p.Record.Why[sum] != was
}

// because has the record tell why a version was given up, with "" no longer, and of no others than the bad ones.
func (p *Past) because(sum, why string) {
	r := &p.Record
	r.Why = maps.Clone(r.Why)
	maps.DeleteFunc(r.Why, func(other, _ string) bool { return other == sum || !p.IsBad(other) })
	if why == "" {
		return
	}
	if r.Why == nil {
		r.Why = make(map[string]string)
	}
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + "..."
	}
	r.Why[sum] = why
}

// bad puts a version among the bad ones, and reports whether it was none.
func (p *Past) bad(sum string, why *refusal.Error, writes uint64) (changed bool) {
	p.give(sum, why, writes)
	r := &p.Record
	if slices.Contains(r.Bad, sum) {
		return false
	}
	r.Bad = append(r.Bad[:len(r.Bad):len(r.Bad)], sum)
	r.Bad = r.Bad[max(0, len(r.Bad)-BadKept):]
	return true
}

// Hold remembers that an operator has rolled a version back, so that it is not served
// after a restart either.
func (p *Past) Hold(sum string, why *refusal.Error, writes uint64) {
	p.Record.Held = sum
	p.give(sum, why, writes)
}

// Supersede remembers that the version of a canary has taken the place of the newest file's.
func (p *Past) Supersede(sum string, why *refusal.Error, writes uint64) {
	p.Record.Superseded = sum
	p.give(sum, why, writes)
}

// Judge remembers what became of a canary: its version is not tried again by itself.
func (p *Past) Judge(v canary.Verdict, why *refusal.Error, writes uint64) {
	p.bad(v.Sum, why, writes) // the verdict says why
	p.Record.Canary = p.Record.Canary.With(v)
}

// Unhold says that it is served again.
func (p *Past) Unhold() { p.Record.Held = "" }

func (p *Past) give(sum string, why *refusal.Error, writes uint64) {
	if p.given == nil {
		p.given = make(map[string]*refusal.Error)
	}
	for other := range p.given {
		if !p.GivenUp(other) {
			delete(p.given, other)
		}
	}
	p.given[sum] = why
	p.Content.Writes = writes
}

// Fallbacks are the sums of the versions to go back to by itself: that which served
// last, then the newest. What was given up is none of them.
func (p *Past) Fallbacks() (sums []string) {
	r := p.Record
	all := []string{r.Serves}
	for _, v := range slices.Backward(r.Versions) {
		if v.Sum != r.Held {
			all = append(all, v.Sum)
		}
	}
	for _, sum := range all {
		if sum != "" && !p.IsBad(sum) && !slices.Contains(sums, sum) {
			sums = append(sums, sum)
		}
	}
	return sums
}

// Target is the sum of the version that an operator wants of the handler of that
// name; an empty version is the newest before live, which has the routes, or "". The
// error says why there is none, or that it serves already.
func (p *Past) Target(name, version, live string, serves bool) (string, error) {
	if version != "" && serves && strings.HasPrefix(live, version) {
		return "", fmt.Errorf("version %s of %q serves already", store.Version{Sum: live}.Short(), name)
	}
	before := live == ""
	for _, v := range slices.Backward(p.Record.Versions) {
		if version != "" && strings.HasPrefix(v.Sum, version) || version == "" && before && !p.IsBad(v.Sum) {
			return v.Sum, nil
		}
		before = before || v.Sum == live
	}
	if version == "" {
		return "", fmt.Errorf("there is no earlier version of %q that served well", name)
	}
	return "", fmt.Errorf("there is no version %q of %q in the store; see plugserverctl history %s", version, name, name)
}
