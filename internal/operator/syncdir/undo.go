package syncdir

import (
	"errors"
	"io/fs"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/swap"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// Pending reports whether a sync was interrupted before it was seen what becomes of what it was about to place.
func Pending(record *synced.Record) bool {
	for _, p := range record.Placed {
		if p.Next != nil {
			return true
		}
	}
	return false
}

// Undo puts back what an interrupted sync has changed, for half of it may be there, or what the daemon refuses, and has
// the record say so. Where all of it is there, and serves once nothing of it is tried any more, that is as good as seen,
// and stays: serves waits for a handler, and tells. Where it cannot tell, nothing is changed.
func Undo(record *synced.Record, files *swap.Swap, dir string, now time.Time, serves func(handler string, want synced.Want) (bool, error)) error {
	there, err := LookAll(dir, record.Placed)
	if err != nil {
		return err
	}
	done := true
	for name, p := range record.Placed {
		t := there[name]
		done = done && (p.Next == nil || t.File == p.Next.File.Digest && t.Signature == p.Next.Signature.Digest)
	}
	for name, p := range record.Placed {
		if done && p.Next != nil {
			if done, err = serves(name, *p.Next); err != nil {
				return err
			}
		}
	}
	if !done {
		if err := back(record, files, there); err != nil {
			return err
		}
	}
	resolve(record, done, now)
	return nil
}

// resolve has the record say whether what was about to be placed was.
func resolve(record *synced.Record, done bool, now time.Time) {
	for name, p := range record.Placed {
		switch {
		case p.Next == nil:
		case done:
			record.Placed[name] = synced.Placed{Want: *p.Next, Time: now.UTC().Round(0)}
		case p.File.Digest == "":
			delete(record.Placed, name)
		default:
			p.Next = nil
			record.Placed[name] = p
		}
	}
}

// back puts back what was kept, but not where somebody else has put another file meanwhile.
func back(record *synced.Record, files *swap.Swap, there map[string]syncplan.There) error {
	if !files.Keeps() {
		return nil // then nothing was changed
	}
	var changes []syncplan.Action
	for name, p := range record.Placed {
		t := there[name]
		was, err := digest(files.Kept(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch {
		case t.Odd:
		case p.Next != nil && (t.File == p.Next.File.Digest || t.File == was):
			changes = append(changes, syncplan.Action{Handler: name, Kind: syncplan.Place, Want: *p.Next, Was: was})
		case p.Next == nil && t.File == "" && was != "":
			changes = append(changes, syncplan.Action{Handler: name, Kind: syncplan.Remove, Was: was})
		}
	}
	return files.Back(changes)
}
