package syncing

import (
	"context"
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
	names := slices.Collect(maps.Keys(r.record.Desired))
	serves, superseded := make(map[string]string), make(map[string]string)
	for name := range r.record.Desired {
		h := r.now[name]
		serves[name] = h.Version
		if h.Refusal != nil && h.Refusal.Promoted && canary.Of(name) == "" {
			superseded[name] = h.Version
		}
		if r.o.Canary || superseded[name] != "" {
			names = append(names, canary.Name(name))
		}
	}
	there, err := syncdir.LookAll(r.daemon.Handlers, r.record.Placed, names...)
	if err != nil {
		return err
	}
	syncplan.Inherit(r.record.Placed, there)
	in := syncplan.Input{
		Dir: r.daemon.Handlers, Platform: platform, Desired: r.record.Desired, Lacking: r.record.Lacking, Others: r.others,
		Placed: r.record.Placed, There: there, Superseded: superseded, Refused: r.record.Refused, Now: r.began, Replace: r.o.Replace,
	}
	if r.o.Every > 0 {
		in.Wait = refusedWait
	}
	if r.o.Canary {
		in = syncplan.Trials(in, serves)
	}
	r.all = syncplan.Decide(in)
	return nil
}

// tries reports whether a canary is there, or comes, that nobody has pushed as one: it is judged for what it is to become.
func (r *run) tries(a syncplan.Action) bool {
	_, pushed := r.record.Desired[a.Handler]
	return r.o.Canary && canary.Of(a.Handler) != "" && !pushed && a.Kind != syncplan.Remove && a.Kind != syncplan.Forget
}

// foresee notes what a dry run is to tell of canaries that are there.
func (r *run) foresee(ctx context.Context) error {
	for _, a := range r.all {
		h := r.now[a.Handler]
		if !r.tries(a) || a.Kind != syncplan.Keep && a.Kind != syncplan.Adopt {
			continue
		} else if h.Refusal != nil && !h.Refusal.Promoted {
			r.refuse(a.Handler, a.Want.File.Digest, *h.Refusal, true)
		} else if err := r.judged(ctx, a, &h); err != nil {
			return err
		}
	}
	return nil
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
