// Package syncing makes the handlers directory what an index in a registry says: it pulls what
// is missing, checks it, renames all of it in, and waits until each handler is live or refused. Where
// one is, all is as it was before, unless the operator wants the others.
package syncing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/signing"
	"github.com/andrestc/go-plugserver/internal/operator/swap"
	"github.com/andrestc/go-plugserver/internal/operator/syncdir"
	"github.com/andrestc/go-plugserver/internal/operator/syncentry"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// Options say what is synced, and how.
type Options struct {
	Ref  string
	Name string // of the entry; "" for the one that follows the repository
	// Settled says that the entry is the administrator's: it may follow another repository than before.
	Settled  bool
	Registry registry.Options

	DryRun, Partial, Replace bool
	// Canary has a newer version of a handler that serves begin as its canary, which the daemon judges.
	Canary bool
	// Every has it do nothing, and say nothing, unless it is due (syncplan.Due); and what the daemon
	// refused is not tried again for a while. 0 is at once.
	Every, Offset time.Duration
	State         string // the daemon's folder, as far as that is known

	Binaries *catalogue.Catalogue
	// Blind says that there may be cells that Binaries does not see: the daemon alone knows whether one fits.
	Blind bool
}

// refusedWait is how long what the daemon refused is not tried again: it may have run for that.
const refusedWait = time.Hour

// run is one sync.
type run struct {
	s      *cli.Session
	o      Options
	daemon api.Daemon
	now    map[string]api.Handler // how the handlers stand, by name
	policy signature.Policy
	repo   *registry.Repository
	record *synced.Record
	files  *swap.Swap
	others map[string]string // what other entries have placed
	all    []syncplan.Action
	began  time.Time
	out    Told
}

// Run syncs. The error is cli.ErrRefused where what was refused has been told.
func Run(ctx context.Context, s *cli.Session, o Options) error {
	r := &run{s: s, o: o, began: time.Now()}
	if o.Every > 0 { // before the daemon is asked, which has to look at all of its processes for that
		if known, err := synced.Load(synced.Folder(o.State), o.Name); err == nil && !r.due(known) {
			return nil
		}
	}
	if err := r.ask(ctx); err != nil {
		return err
	}
	var err error
	if r.repo, err = registry.Open(o.Ref, o.Registry); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if r.repo.Reference() == "" {
		return fmt.Errorf("sync: %q names no tag; write one behind it, such as %s:prod", o.Ref, o.Ref)
	}
	if r.daemon.SyncFolder == "" {
		return errors.New("sync: the daemon is of a release that knows nothing of it; upgrade it, or restart it after an upgrade")
	}
	if err := r.name(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	r.files = swap.In(r.daemon.Handlers, r.o.Name)
	if !o.DryRun {
		lock, err := synced.LockEntry(r.daemon.SyncFolder, r.o.Name)
		if errors.Is(err, synced.ErrLocked) {
			return fmt.Errorf("sync %s: another one of it is under way; try again once it has ended", r.o.Name)
		}
		if err != nil {
			return denied(fmt.Errorf("sync %s: %w", r.o.Name, err))
		}
		defer lock.Unlock()
	}
	return r.recorded(ctx)
}

// ask asks the daemon how all stand.
func (r *run) ask(ctx context.Context) error {
	st, err := r.s.Client.Status(ctx)
	if err != nil {
		return err
	}
	r.daemon, r.now = st.Daemon, make(map[string]api.Handler)
	for _, h := range st.Handlers {
		if h.State != api.StateRetiring {
			r.now[h.Name] = h
		}
	}
	r.policy, err = signing.Policy(st.Daemon.Trust)
	return err
}

// name finds the entry's name: the one that follows the repository, or one made of its name.
func (r *run) name() error {
	records, err := synced.All(r.daemon.SyncFolder)
	if err != nil && r.o.Name == "" {
		return err
	}
	if r.o.Name, err = syncentry.Choose(records, r.o.Name, r.o.Ref, r.o.Settled); err != nil {
		return err
	}
	r.note(records)
	return nil
}

// note notes what other entries have placed. Of an entry whose record cannot be read, that is somebody's.
func (r *run) note(records map[string]*synced.Record) {
	r.others = make(map[string]string)
	for name, known := range records {
		for handler := range known.Placed {
			if name != r.o.Name {
				r.others[handler] = name
			}
		}
	}
}

// recorded syncs, and remembers what came of it.
func (r *run) recorded(ctx context.Context) (err error) {
	if r.record, err = synced.Load(r.daemon.SyncFolder, r.o.Name); err != nil {
		return fmt.Errorf("sync %s: %w", r.o.Name, err)
	}
	if !r.due(r.record) {
		return nil
	}
	if r.record.Ref != r.o.Ref {
		r.record.Ref, r.record.Digest = r.o.Ref, ""
	}
	err = r.sync(ctx)
	if r.o.DryRun {
		return r.wrap(err)
	}
	r.record.Tried = r.began.UTC().Round(0)
	r.record.Bytes += r.out.Bytes
	r.remember(err)
	if saved := r.record.Save(r.daemon.SyncFolder, r.o.Name); saved != nil {
		err = errors.Join(err, fmt.Errorf("remember what was placed: %w", saved))
	}
	return r.wrap(err)
}

// due reports whether it is time to try again what was tried.
func (r *run) due(was *synced.Record) bool {
	return was.Ref != r.o.Ref || syncdir.Pending(was) || syncplan.Due(was.Tried, r.began, r.o.Every, r.o.Offset)
}

func (r *run) wrap(err error) error {
	if err == nil || errors.Is(err, cli.ErrRefused) {
		return err
	}
	return denied(fmt.Errorf("sync %s: %w", r.o.Name, err))
}

// sync takes the steps, and tells what came of them.
func (r *run) sync(ctx context.Context) error {
	if !r.o.DryRun {
		if err := r.undo(ctx); err != nil {
			return err
		}
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	if err := r.plan(); err != nil {
		return err
	}
	if r.o.DryRun {
		if err := r.foresee(ctx); err != nil {
			return err
		}
	}
	if r.stops() || r.o.DryRun {
		return r.tell()
	}
	defer r.tidy()
	if err := r.pull(ctx); err != nil {
		return err
	}
	if err := r.vet(); err != nil {
		return err
	}
	if r.stops() {
		return r.tell()
	}
	lock, err := synced.LockDirectory(ctx, r.daemon.SyncFolder)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := r.unchanged(); err != nil {
		return err
	}
	if err := r.place(); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	return r.tell()
}

// stops reports whether a refusal keeps all from being done, and notes them.
func (r *run) stops() bool {
	for _, a := range syncplan.Refused(r.all) {
		r.refuse(a.Handler, a.Want.File.Digest, api.Refusal{Reason: a.Refusal.Reason, Mend: a.Refusal.Mend, Or: a.Refusal.Or}, false)
	}
	return len(r.out.Refused) > 0 && !r.o.Partial
}

// platform is this machine's.
const platform = runtime.GOOS + "/" + runtime.GOARCH

// denied words an error of somebody who may not change the directory, or the folder of records.
func denied(err error) error {
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		return fmt.Errorf("%w; these folders are root's: run it with sudo", err)
	}
	return err
}
