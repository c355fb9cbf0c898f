package syncing

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/syncdir"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// plan decides by what is in the directory now.
func (r *run) plan() error {
	names := slices.AppendSeq(slices.Collect(maps.Keys(r.record.Desired)), maps.Keys(r.record.Placed))
	if r.o.Canary {
		for name := range r.record.Desired {
			names = append(names, canary.Name(name))
		}
	}
	slices.Sort(names)
	there := make(map[string]syncplan.There)
	for _, name := range slices.Compact(names) { // most are wanted, and placed
		var err error
		if there[name], err = syncdir.Look(r.daemon.Handlers, name, r.record.Placed[name]); err != nil {
			return err
		}
	}
	in := syncplan.Input{
		Dir: r.daemon.Handlers, Platform: platform, Desired: r.record.Desired, Lacking: r.record.Lacking, Others: r.others,
		Placed: r.record.Placed, There: there, Refused: r.record.Refused, Now: r.began, Replace: r.o.Replace,
	}
	if r.o.Every > 0 {
		in.Wait = refusedWait
	}
	if r.o.Canary {
		in.Desired = syncplan.Trials(in, r.versions())
	}
	r.all = syncplan.Decide(in)
	return nil
}

// versions are those that serve, by handler.
func (r *run) versions() map[string]string {
	all := make(map[string]string)
	for name, h := range r.now {
		all[name] = h.Version
	}
	return all
}

// tries reports whether a handler is a canary that nobody has pushed as one: it is judged for what it is to become.
func (r *run) tries(handler string) bool {
	_, pushed := r.record.Desired[handler]
	return r.o.Canary && canary.Of(handler) != "" && !pushed
}

// unchanged decides once more, now that nobody else syncs, and nothing may be other than it was.
func (r *run) unchanged() error {
	before := r.all
	records, _ := synced.All(r.daemon.SyncFolder)
	r.note(records)
	if err := r.plan(); err != nil {
		return err
	}
	for i, a := range before {
		now := &r.all[i]
		if a.Kind == syncplan.Refuse { // it was vetted
			*now = a
		}
		if now.Kind != a.Kind || now.Want != a.Want {
			return fmt.Errorf("somebody has changed %s meanwhile; try again", filepath.Join(r.daemon.Handlers, a.Handler+".so"))
		}
	}
	return nil
}
