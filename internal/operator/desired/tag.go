// Package desired is the desired state of boxes, as a tag of a registry names it: reading it,
// and changing it where others may at the same time.
package desired

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// A Tag is one whose desired state is read and changed. Registries cannot compare and swap,
// so a change is read again once whoever might have written at the same time has: see settle.
type Tag struct {
	Repo *registry.Repository
	Name string
	by   string
	tell func(problem string)
	// settle waits, given how long it took from the last look at the tag to its being
	// written; nil for the usual time.
	settle func(ctx context.Context, took time.Duration) error
}

// ErrNothing says that there was nothing to change.
var ErrNothing = errors.New("nothing to change")

// ErrLost says that another's write took ours away.
var ErrLost = errors.New("lost")

// mostTries bounds how often a change is done again on top of others'.
const mostTries = 8

// Read is the state under the tag, and its descriptor; both are zero where there is no such tag.
func (t *Tag) Read(ctx context.Context) (artifact.State, artifact.Descriptor, error) {
	s, d, err := ReadState(ctx, t.Repo, t.Name)
	if errors.Is(err, registry.ErrNoTag) {
		return nil, artifact.Descriptor{}, nil
	}
	return s, d, err
}

// ReadState is the state that a tag or a digest names.
func ReadState(ctx context.Context, repo *registry.Repository, ref string) (artifact.State, artifact.Descriptor, error) {
	d, err := repo.Resolve(ctx, ref)
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

// Change has the tag name what edit makes of its state, and tells what it named before and
// names now. Where others change it at the same time, both changes are made. The error is
// ErrNothing where the two are the same.
func (t *Tag) Change(ctx context.Context, edit func(artifact.State) artifact.State, r artifact.Record) (was, now artifact.Descriptor, err error) {
	for range mostTries {
		before, d, err := t.Read(ctx)
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
			return was, now, ErrNothing
		}
		if now.Size > artifact.MaxIndex {
			return was, now, fmt.Errorf("a desired state of %d bytes is more than registries take; push to several tags", now.Size)
		}
		r.State, r.Previous = now, d.Digest
		check := func(ctx context.Context) error { return t.kept(ctx, before, after) }
		switch err := t.Set(ctx, d.Digest, content, r, check); {
		case err == nil:
			return was, now, nil
		case !errors.Is(err, ErrLost):
			return was, now, err
		}
	}
	return was, now, fmt.Errorf("%s:%s: others have changed it at the same time, %d times in a row; try again", t.Repo.Name(), t.Name, mostTries)
}

// kept compares what the tag names now with what it was to become: ErrLost where ours is as
// it was before.
func (t *Tag) kept(ctx context.Context, before, after artifact.State) error {
	now, _, err := t.Read(ctx)
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
				t.Repo.Name(), t.Name, c.Name, c.Platform)
		}
	}
	if lost {
		t.tell("another push at the same time took this one away: pushing on top of it")
		return ErrLost
	}
	return nil
}

// Set writes the tag, and its history, unless it names another digest than was read, and
// checks it once others have written. The error is ErrLost where it has to be done again.
func (t *Tag) Set(ctx context.Context, was string, content []byte, r artifact.Record, check func(context.Context) error) error {
	began := time.Now()
	d, err := t.Repo.Resolve(ctx, t.Name)
	if err != nil && !errors.Is(err, registry.ErrNoTag) {
		return err
	}
	if d.Digest != was {
		return ErrLost
	}
	if _, err := t.Repo.PushManifest(ctx, t.Name, artifact.IndexType, content); err != nil {
		return err
	}
	took := time.Since(began)
	r.When, r.By = began.UTC().Truncate(time.Second), t.by
	t.record(ctx, r)
	err = t.checked(ctx, took, r, check)
	if errors.Is(err, registry.ErrAway) || ctx.Err() != nil {
		err = fmt.Errorf("%s:%s was written, but whether it stays could not be seen: %w", t.Repo.Name(), t.Name, err)
	}
	return err
}

// checked looks at what was written, once others have.
func (t *Tag) checked(ctx context.Context, took time.Duration, r artifact.Record, check func(context.Context) error) error {
	wait := t.settle
	if wait == nil {
		wait = settle
	}
	if err := wait(ctx, took); err != nil {
		return err
	}
	h, err := t.History(ctx)
	if o, is := h.Overtaken(r); is && err == nil {
		t.tell(fmt.Sprintf("what %s has changed on %s is not in it, for it was done while this was under way: see plugserverctl fleet history, and have it done again",
			o.By, o.When.Local().Format(time.DateTime)))
	}
	for range mostTries {
		if err != nil || h.Has(r) || !t.record(ctx, r) { // else another's took it away, and may again
			break
		}
		if err := wait(ctx, took); err != nil {
			return err
		}
		h, err = t.History(ctx)
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

// History is what is recorded of the tag: nothing where there is none.
func (t *Tag) History(ctx context.Context) (artifact.History, error) {
	d, err := t.Repo.Resolve(ctx, artifact.HistoryTag(t.Name))
	if errors.Is(err, registry.ErrNoTag) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := t.Repo.Manifest(ctx, d, artifact.MaxIndex)
	if err != nil {
		return nil, err
	}
	return artifact.DecodeHistory(b)
}

// record adds to the history. It does not take back what was recorded of: where it fails,
// that is told.
func (t *Tag) record(ctx context.Context, r artifact.Record) bool {
	h, err := t.History(ctx)
	if err == nil {
		h = h.With(r)
		if _, err = t.Repo.PushManifest(ctx, artifact.HistoryTag(t.Name), artifact.IndexType, h.Encode()); errors.Is(err, registry.ErrHalfPushed) {
			// The registry has deleted a state of long ago.
			h = slices.DeleteFunc(h, func(o artifact.Record) bool {
				_, err := t.Repo.Resolve(ctx, o.State.Digest)
				return err != nil
			})
			_, err = t.Repo.PushManifest(ctx, artifact.HistoryTag(t.Name), artifact.IndexType, h.Encode())
		}
	}
	if err != nil {
		t.tell("not recorded in the history: " + err.Error())
	}
	return err == nil
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

// Flags declares how a registry is reached.
func Flags(flags *flag.FlagSet) func(ref string) (*registry.Repository, error) {
	var o registry.Options
	flags.BoolVar(&o.PlainHTTP, "plain-http", false, "the registry speaks no TLS; on loopback that is the default, unless REF begins with https://")
	flags.StringVar(&o.Credentials, "credentials", "", "credentials as docker and podman keep them, in `FILE`; default is where these, and skopeo, keep them")
	return func(ref string) (*registry.Repository, error) { return registry.Open(ref, o) }
}

// ByFlag declares who does what changes a tag.
func ByFlag(flags *flag.FlagSet) *string {
	return flags.String("by", "", "`WHO` does it, for the history; default the user, at this machine")
}

// Target is the tag that a reference names, to be written.
func Target(s *cli.Session, repo *registry.Repository, by string) (*Tag, error) {
	name := repo.Reference()
	switch {
	case name == "", strings.Contains(name, ":"):
		return nil, fmt.Errorf("%s: name a tag, such as %s:prod", repo.Name(), repo.Name())
	case artifact.IsHistory(name):
		return nil, fmt.Errorf("%s:%s: tags that end in .history are those of histories; name another", repo.Name(), name)
	}
	if by == "" {
		by = whoami()
	}
	return &Tag{Repo: repo, Name: name, by: by[:min(len(by), 200)], tell: func(problem string) {
		fmt.Fprintf(s.Problems, "%s\n", terminal.Escape(problem))
	}}, nil
}
