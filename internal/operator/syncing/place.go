package syncing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/syncdir"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// place renames all that is new into the directory, and what nobody wants out of it. Where that
// fails in the middle, what was done is undone.
func (r *run) place() error {
	changes := syncplan.Changes(r.all)
	if len(changes) == 0 {
		return nil
	}
	if err := r.files.Forget(); err != nil { // of an earlier sync
		return err
	}
	// Where this is interrupted from here on, the next finds in the record what may be there, and undoes it. Who asks
	// meanwhile does not find the new digest in agreement.
	r.record.Tried = r.began.UTC().Round(0)
	for _, a := range changes {
		if a.Kind == syncplan.Place {
			p := r.record.Placed[a.Handler]
			p.Next = &a.Want
			r.record.Placed[a.Handler] = p
		}
	}
	if err := r.record.Save(r.daemon.SyncFolder, r.o.Name); err != nil {
		return err
	}
	return r.files.Do(changes)
}

// undo puts back what a sync has changed that was interrupted.
func (r *run) undo(ctx context.Context) error {
	if !syncdir.Pending(r.record) {
		return nil
	}
	lock, err := synced.LockDirectory(ctx, r.daemon.SyncFolder)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	serves := func(handler string, want synced.Want) (bool, error) {
		all, err := deploy.Outcomes(ctx, r.s, []string{handler}) // it may still be starting
		h := all[handler].Handler
		return h != nil && (h.State == api.StateDisabled || r.serves(*h, want)), err
	}
	if err := syncdir.Undo(r.record, r.files, r.daemon.Handlers, r.began, serves); err != nil {
		return fmt.Errorf("undo what an interrupted sync has changed: %w", err)
	}
	return errors.Join(r.record.Save(r.daemon.SyncFolder, r.o.Name), r.files.Forget())
}

// tidy deletes what is not needed any more: nothing as long as what was there before may have to come back.
func (r *run) tidy() {
	if !syncdir.Pending(r.record) {
		r.files.Tidy(r.all)
	}
}

// serves reports whether a handler serves what is wanted, or is a canary, and nothing newer is refused. The files of a
// canary that was promoted, and of its handler, may both be as wanted, though the handler serves the canary's version.
func (r *run) serves(h api.Handler, want synced.Want) bool {
	if h.Refusal != nil {
		return h.Refusal.Promoted && (canary.Of(h.Name) != "" || r.wantsCanary(h))
	}
	return (h.State == api.StateLive || h.State == api.StateCanary) && h.Version == want.File.Version()
}

// wantsCanary reports whether the canary that has taken a handler's place is wanted, or another is judged there.
func (r *run) wantsCanary(h api.Handler) bool {
	name := canary.Name(h.Name)
	if pushed, is := r.record.Desired[name]; is {
		return pushed.File.Version() == h.Version
	}
	return slices.ContainsFunc(r.all, func(a syncplan.Action) bool { return a.Handler == name && a.Want.File.Digest != "" })
}

// settle waits until what was changed is in force, and puts back what was before where the
// daemon refuses it. It notes what the record is to say of each handler.
func (r *run) settle(ctx context.Context) error {
	changes := syncplan.Changes(r.all)
	was := maps.Clone(r.record.Placed)
	var waits []string
	for _, a := range r.all {
		keeps := a.Kind == syncplan.Keep || a.Kind == syncplan.Adopt
		if a.Kind == syncplan.Place || a.Kind == syncplan.Remove || keeps && !r.serves(r.now[a.Handler], a.Want) {
			waits = append(waits, a.Handler)
		}
	}
	outcomes, err := deploy.Outcomes(ctx, r.s, waits)
	if err != nil {
		return fmt.Errorf("%w; what was placed is in place, and the next sync puts it back where it does not serve by then: see plugserverctl status", err)
	}
	var wrong []syncplan.Action
	for _, a := range r.all {
		out, waited := outcomes[a.Handler]
		refused := waited && a.Kind != syncplan.Remove && r.verdict(a, out.Handler)
		if refused && a.Kind == syncplan.Place {
			wrong = append(wrong, a)
		}
		if !refused && r.tries(a) {
			if err := r.judged(ctx, a, cmp.Or(out.Handler, new(r.now[a.Handler]))); err != nil {
				return err
			}
		}
		r.placed(a)
	}
	if len(wrong) == 0 {
		r.out.done = true
		return nil
	}
	if !r.o.Partial {
		wrong = changes
	}
	for _, a := range wrong {
		if p := was[a.Handler]; p.File.Digest != "" || a.Kind == syncplan.Remove {
			p.Next = nil
			r.record.Placed[a.Handler] = p
		} else {
			delete(r.record.Placed, a.Handler)
		}
		if r.files.Ours(a.Handler) {
			r.out.PutBack = append(r.out.PutBack, a.Handler)
			r.putBack(a.Handler)
		} else {
			r.out.Theirs = append(r.out.Theirs, a.Handler)
		}
		r.out.Judged = slices.DeleteFunc(r.out.Judged, func(of string) bool { return canary.Name(of) == a.Handler })
	}
	if err := r.files.Back(wrong); err != nil {
		return err
	}
	if _, err := deploy.Outcomes(ctx, r.s, r.out.PutBack); err != nil {
		return fmt.Errorf("%w; what was before is in place again: see plugserverctl status", err)
	}
	return nil
}

// judged notes that a canary is judged, unless it was promoted and somebody has gone back since.
func (r *run) judged(ctx context.Context, a syncplan.Action, h *api.Handler) error {
	of := canary.Of(a.Handler)
	if h.State == api.StatePromoted {
		all, err := deploy.Outcomes(ctx, r.s, []string{of}) // it may still be starting
		if err != nil {
			return err
		}
		if h := all[of].Handler; h != nil && h.State != api.StateDisabled && h.Version != "" && h.Version != a.Want.File.Version() {
			why := badfile.GoneBack(of, h.Version)
			r.refuse(a.Handler, a.Want.File.Digest, api.Refusal{Reason: why.Reason, Mend: why.Mend, Or: why.Or}, true)
			return nil
		}
	}
	r.out.Judged = append(r.out.Judged, of)
	return nil
}

// verdict notes what the daemon makes of a handler that is wanted, and reports whether it refuses it.
func (r *run) verdict(a syncplan.Action, h *api.Handler) (refused bool) {
	want := a.Want.File
	switch {
	case h == nil:
		r.refuse(a.Handler, want.Digest, api.Refusal{Reason: "somebody has removed its file meanwhile", Mend: "sync again"}, false)
	case h.State == api.StateDisabled:
		r.out.Disabled = append(r.out.Disabled, a.Handler)
		return false
	case r.serves(*h, a.Want):
		if h.Refusal == nil {
			r.out.Live = append(r.out.Live, *h)
		}
		return false
	case h.Refusal != nil:
		r.refuse(a.Handler, want.Digest, *h.Refusal, true)
	default:
		r.refuse(a.Handler, want.Digest, api.Refusal{Reason: fmt.Sprintf("it is %s, with version %s", h.State, h.Version), Mend: "plugserverctl status " + a.Handler}, true)
	}
	return true
}

// placed has the record say what an action has made of a handler.
func (r *run) placed(a syncplan.Action) {
	switch a.Kind {
	case syncplan.Remove, syncplan.Forget:
		delete(r.record.Placed, a.Handler)
	case syncplan.Place, syncplan.Adopt, syncplan.Keep:
		p := r.record.Placed[a.Handler]
		switch {
		case a.Kind == syncplan.Adopt:
			p = synced.Placed{Found: true, Time: r.began.UTC().Round(0)}
		case a.Kind == syncplan.Place, p.Next != nil:
			p = synced.Placed{Time: r.began.UTC().Round(0)}
		}
		p.Want, p.State = a.Want, a.State
		if a.Kind == syncplan.Place {
			p.State = synced.State{} // it is read again, where somebody else has put another there
			if info, err := os.Lstat(r.files.Path(a.Handler)); err == nil && r.files.Ours(a.Handler) {
				p.State = synced.StateOf(info)
			}
		}
		r.record.Placed[a.Handler] = p
	}
}
