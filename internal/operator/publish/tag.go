package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
)

// A tag is one whose desired state is read and changed. Registries cannot compare and swap,
// so a change is read again once whoever might have written at the same time has: see settle.
type tag struct {
	repo *registry.Repository
	name string
	by   string
	tell func(problem string)
	// settle waits, given how long it took from the last look at the tag to its being
	// written; nil for the usual time.
	settle func(ctx context.Context, took time.Duration) error
}

// errNothing says that there was nothing to change.
var errNothing = errors.New("nothing to change")

// errLost says that another's write took ours away.
var errLost = errors.New("lost")

// mostTries bounds how often a change is done again on top of others'.
const mostTries = 8

// read is the state under the tag, and its descriptor; both are zero where there is no such tag.
func (t *tag) read(ctx context.Context) (artifact.State, artifact.Descriptor, error) {
	s, d, err := readState(ctx, t.repo, t.name)
	if errors.Is(err, registry.ErrNoTag) {
		return nil, artifact.Descriptor{}, nil
	}
	return s, d, err
}

// readState is the state that a tag or a digest names.
func readState(ctx context.Context, repo *registry.Repository, ref string) (artifact.State, artifact.Descriptor, error) {
	d, _, err := repo.Resolve(ctx, ref, "")
	if err != nil {
		return nil, d, err
	}
	b, err := repo.Manifest(ctx, d, artifact.MaxIndex)
	if err != nil {
		return nil, d, err
	}
	s, err := artifact.DecodeState(b)
	if err != nil {
		err = fmt.Errorf("%s:%s: %w", repo.Name(), ref, err)
	}
	return s, d, err
}

// change has the tag name what edit makes of its state, and tells what it named before and
// names now. Where others change it at the same time, both changes are made. The error is
// errNothing where the two are the same.
func (t *tag) change(ctx context.Context, edit func(artifact.State) artifact.State, r artifact.Record) (was, now artifact.Descriptor, err error) {
	for range mostTries {
		before, d, err := t.read(ctx)
		if err != nil {
			return was, now, err
		}
		if was.Digest == "" {
			was = d
		}
		after := edit(before)
		content := after.Encode()
		now = artifact.Blob(artifact.IndexType, content)
		if now.Digest == d.Digest {
			return was, now, errNothing
		}
		if now.Size > artifact.MaxIndex {
			return was, now, fmt.Errorf("a desired state of %d bytes is more than registries take; push to several tags", now.Size)
		}
		r.State, r.Previous = now, d.Digest
		check := func(ctx context.Context) error { return t.kept(ctx, before, after) }
		switch err := t.set(ctx, d.Digest, content, r, check); {
		case err == nil:
			return was, now, nil
		case !errors.Is(err, errLost):
			return was, now, err
		}
	}
	return was, now, fmt.Errorf("%s:%s: others have changed it at the same time, %d times in a row; try again", t.repo.Name(), t.name, mostTries)
}

// kept compares what the tag names now with what it was to become: errLost where ours is as
// it was before.
func (t *tag) kept(ctx context.Context, before, after artifact.State) error {
	now, _, err := t.read(ctx)
	if err != nil {
		return err
	}
	lost := false
	for _, c := range before.Diff(after) {
		e, _ := now.Find(c.Name, c.Platform)
		switch e.Manifest.Digest {
		case c.To:
		case c.From:
			lost = true
		default:
			return fmt.Errorf("%s:%s: somebody else has pushed another %s for %s at the same time, which is there now; see plugserverctl fleet history, and push again if yours is to be there",
				t.repo.Name(), t.name, c.Name, c.Platform)
		}
	}
	if lost {
		t.tell("another push at the same time took this one away: pushing on top of it")
		return errLost
	}
	return nil
}

// set writes the tag, and its history, unless it names another digest than was read, and
// checks it once others have written. The error is errLost where it has to be done again.
func (t *tag) set(ctx context.Context, was string, content []byte, r artifact.Record, check func(context.Context) error) error {
	d, _, err := t.repo.Resolve(ctx, t.name, was)
	if err != nil && !errors.Is(err, registry.ErrNoTag) {
		return err
	}
	if d.Digest != was {
		return errLost
	}
	began := time.Now()
	if _, err := t.repo.PushManifest(ctx, t.name, artifact.IndexType, content); err != nil {
		return err
	}
	took := time.Since(began)
	r.When, r.By = began.UTC().Truncate(time.Second), t.by
	t.record(ctx, r)
	if t.settle == nil {
		err = settle(ctx, took)
	} else {
		err = t.settle(ctx, took)
	}
	if err != nil {
		return err
	}
	if h, err := t.history(ctx); err == nil && !h.Has(r) {
		t.record(ctx, r) // another's took it away
	}
	return check(ctx)
}

// settle waits until whoever has looked at the tag before it was written has written, too,
// or has seen that it was: several times as long as the same took here.
func settle(ctx context.Context, took time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(max(4*took, 300*time.Millisecond)):
		return nil
	}
}

// history is what is recorded of the tag: nothing where there is none.
func (t *tag) history(ctx context.Context) (artifact.History, error) {
	d, _, err := t.repo.Resolve(ctx, artifact.HistoryTag(t.name), "")
	if errors.Is(err, registry.ErrNoTag) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := t.repo.Manifest(ctx, d, artifact.MaxIndex)
	if err != nil {
		return nil, err
	}
	return artifact.DecodeHistory(b)
}

// record adds to the history. It does not take back what was recorded of: where it fails,
// that is told.
func (t *tag) record(ctx context.Context, r artifact.Record) {
	h, err := t.history(ctx)
	if err == nil {
		h = h.With(r)
		if _, err = t.repo.PushManifest(ctx, artifact.HistoryTag(t.name), artifact.IndexType, h.Encode()); errors.Is(err, registry.ErrHalfPushed) {
			// The registry has deleted a state of long ago.
			h = slices.DeleteFunc(h, func(o artifact.Record) bool {
				_, _, err := t.repo.Resolve(ctx, o.State.Digest, "")
				return err != nil
			})
			_, err = t.repo.PushManifest(ctx, artifact.HistoryTag(t.name), artifact.IndexType, h.Encode())
		}
	}
	if err != nil {
		t.tell("not recorded in the history: " + err.Error())
	}
}

// whoami is who pushes, in their own words.
func whoami() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
