// Package syncplan decides what a sync does: from what a registry wants, what was placed
// before and what is in the handlers directory, to an action for each handler. It does no I/O.
package syncplan

import (
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/synced"
)

// Kind is what is done about a handler.
type Kind string

const (
	Keep   Kind = "keep"   // its files are as they should be
	Adopt  Kind = "adopt"  // likewise, and were not known to be
	Place  Kind = "place"  // they are put there, maybe in the place of others
	Remove Kind = "remove" // nobody wants what was placed
	Forget Kind = "forget" // likewise, and it is not there, or not ours any more
	Refuse Kind = "refuse" // nothing, for a reason
)

// Action is for one handler.
type Action struct {
	Handler string
	Kind    Kind
	Want    synced.Want    // to keep, adopt and place
	Was     string         // the digest of the file that is there
	State   synced.State   // of that file
	Refusal *refusal.Error // of what is refused
	Anew    bool           // the file is placed though the same is there: the daemon serves another until it comes again
}

// Comes reports whether the file itself is placed: where it is there already, only its signature is.
func (a Action) Comes() bool {
	return a.Kind == Place && (a.Anew || a.Was != a.Want.File.Digest)
}

// There is what is in the handlers directory under a handler's name.
type There struct {
	File      string // the digest of NAME.so; "" where there is none
	Signature string // of NAME.so.minisig
	Source    string // the path of its source, which excludes a file
	Odd       bool   // NAME.so is no regular file
	State     synced.State
}

// Input is what is decided by.
type Input struct {
	Dir      string // of handlers
	Platform string // of this machine
	Desired  map[string]synced.Want
	Lacking  []string          // wanted, and not for this platform
	Others   map[string]string // by handler: the other entry that has placed it
	Placed   map[string]synced.Placed
	There    map[string]There
	// Superseded are the handlers whose file is not what serves, for a canary was promoted: the version of that.
	Superseded map[string]string
	// Refused are those of the last tries, and Wait how long what the daemon refused is not tried
	// again from then on.
	Refused map[string]synced.Refused
	Wait    time.Duration
	Now     time.Time
	// Replace has files replaced that are somebody else's.
	Replace bool
}

// Decide returns an action for each handler that is wanted or was placed, by their names.
func Decide(in Input) (all []Action) {
	names := slices.Concat(slices.Collect(maps.Keys(in.Desired)), slices.Collect(maps.Keys(in.Placed)), in.Lacking)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		a := in.decide(name)
		a.Handler, a.Was, a.State = name, in.There[name].File, in.There[name].State
		all = append(all, a)
	}
	return all
}

// Trials decides by what is wanted where a newer version of a handler begins as its canary, for the machine to judge, beside
// what is there. serves are the versions that serve, by handler: what serves already, since it was promoted, is wanted as it is.
func Trials(in Input, serves map[string]string) Input {
	out := in
	out.Desired, out.Superseded = maps.Clone(in.Desired), maps.Clone(in.Superseded)
	for name, want := range in.Desired {
		there, was := in.There[name].File, in.Placed[name]
		_, pushed := in.Desired[canary.Name(name)]
		switch {
		case canary.Of(name) != "", pushed: // who pushes has decided
		case !handlerdir.ValidName(canary.Name(name)): // it is too long for one
		case there == "", there != was.File.Digest, there == want.File.Digest:
		case serves[name] == "", serves[name] == want.File.Version():
		default:
			out.Desired[name], out.Desired[canary.Name(name)] = was.Want, want
			delete(out.Superseded, name) // what serves goes on beside it
		}
	}
	return out
}

// Inherit has the record say that a canary's file, which was placed, is its handler's now: an operator has renamed it.
func Inherit(placed map[string]synced.Placed, there map[string]There) {
	for name, p := range placed {
		of := canary.Of(name)
		if was, known := placed[of]; known && there[name].File == "" && !was.Ours(there[of].File) && p.Ours(there[of].File) {
			placed[of] = synced.Placed{Want: p.Want, Time: p.Time, Next: p.Next}
		}
	}
}

func (in Input) decide(name string) Action {
	want, wanted := in.Desired[name]
	switch {
	case wanted:
		return in.wanted(name, want)
	case slices.Contains(in.Lacking, name):
		return Action{Kind: Refuse, Refusal: badfile.OtherPlatform(in.Platform)}
	}
	if in.ours(name) && !in.Placed[name].Found {
		return Action{Kind: Remove}
	}
	return Action{Kind: Forget}
}

// wanted decides on a handler that the registry has.
func (in Input) wanted(name string, want synced.Want) Action {
	there := in.There[name]
	path := filepath.Join(in.Dir, name+".so")
	ours := in.ours(name)
	same := there.File == want.File.Digest && there.Signature == want.Signature.Digest
	anew := there.File == want.File.Digest && in.superseded(name, want)
	if why := in.waits(name, want); why != nil && (!same || anew) {
		return Action{Kind: Refuse, Want: want, Refusal: why}
	}
	switch {
	case in.Others[name] != "":
		return Action{Kind: Refuse, Refusal: badfile.OtherSync(in.Others[name])}
	case there.Source != "":
		return Action{Kind: Refuse, Refusal: badfile.SourceThere(there.Source, name+".so")}
	case there.Odd:
		return Action{Kind: Refuse, Refusal: badfile.Odd(path)}
	case anew && in.There[canary.Name(name)].File != "" && !in.ours(canary.Name(name)) && !in.Replace:
		return Action{Kind: Refuse, Want: want, Refusal: badfile.TheirCanary(filepath.Join(in.Dir, canary.Name(name)+".so"), in.Superseded[name])}
	case anew && (same || ours || in.Replace):
		return Action{Kind: Place, Want: want, Anew: true}
	case same && ours:
		return Action{Kind: Keep, Want: want}
	case same:
		return Action{Kind: Adopt, Want: want}
	case there.File == "" || ours || in.Replace:
		return Action{Kind: Place, Want: want}
	}
	return Action{Kind: Refuse, Refusal: badfile.Theirs(path)}
}

// ours reports whether the file that is there under a name was placed.
func (in Input) ours(name string) bool { return in.Placed[name].Ours(in.There[name].File) }

// superseded reports whether a canary serves in a handler's place that nobody wants.
func (in Input) superseded(name string, want synced.Want) bool {
	serves := in.Superseded[name]
	return serves != "" && serves != want.File.Version() && serves != in.Desired[canary.Name(name)].File.Version()
}

// waits is why the daemon has refused the very file lately, nil if it has not.
func (in Input) waits(name string, want synced.Want) *refusal.Error {
	r := in.Refused[name]
	if !r.Tried || r.File != want.File.Digest || in.Now.Sub(r.Time) >= in.Wait {
		return nil
	}
	return &refusal.Error{Reason: r.Reason, Mend: r.Mend, Or: r.Or}
}

// Least is how often a timer asks.
const Least = time.Minute

// Due reports whether what was tried last at a time is tried again now. Time has slots of a
// length, whose beginnings are shifted by an offset, so that machines that were started together
// do not ask together; in each slot it is tried once.
func Due(tried, now time.Time, every, offset time.Duration) bool {
	if every <= Least || tried.IsZero() || tried.After(now) {
		return true
	}
	slot := func(t time.Time) int64 { return (t.UnixNano() + int64(offset)) / int64(every) }
	return slot(tried) != slot(now)
}

// Refused are the actions that are refusals.
func Refused(all []Action) []Action {
	return slices.DeleteFunc(slices.Clone(all), func(a Action) bool { return a.Kind != Refuse })
}

// Changes are those that change the handlers directory.
func Changes(all []Action) []Action {
	return slices.DeleteFunc(slices.Clone(all), func(a Action) bool { return a.Kind != Place && a.Kind != Remove })
}
