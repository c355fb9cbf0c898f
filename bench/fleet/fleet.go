// Package fleet plays a thousand boxes against one registry: what they ask of it, and when, by the product's own code for
// what is due, what is wanted and what has to come. Time is scaled, so that an hour of timers is a minute. What a box
// does with the handlers it gets is its own affair, and is left out.
package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/pulling"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/syncentry"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

const platform = "linux/" + runtime.GOARCH

// Spec is what is played.
type Spec struct {
	Boxes    int
	Handlers int   // under the tag
	Size     int64 // of each one's file, in bytes
	Interval time.Duration
	Dir      string // of the boxes' files, and the registry's; best in memory
}

// box is one, as plugserverctl sync finds it.
type box struct {
	id     []byte
	second time.Duration // its own of each minute, as the timer has it (FixedRandomDelay=yes)
	dir    string
	record synced.Record
}

// play is a fleet while it is played.
type play struct {
	Spec
	ref   string // as boxes have it: through the meter
	stock string // as who pushes has it
	boxes []*box

	clock atomic.Pointer[clock] // requests that end late are counted by it, too
	want  string                // the digest that the tag names

	tries, failed, behind atomic.Int64 // behind are boxes that are at another
	problem               atomic.Value // the last, as text
}

// clock is a scaled one.
type clock struct {
	begun time.Time     // in truth
	at    time.Time     // what it showed then
	scale time.Duration // how much faster it is
}

func (c clock) now() time.Time { return c.at.Add(time.Since(c.begun) * c.scale) }

// until waits for a time of it.
func (c clock) until(ctx context.Context, at time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(at.Sub(c.now()) / c.scale):
		return nil
	}
}

func (s Spec) boxes() (all []*box) {
	for i := range s.Boxes {
		id := fmt.Appendf(nil, "%032x\n", i*0x9e3779b1)
		all = append(all, &box{
			id: id, second: syncentry.Offset(id, "plugserver-sync@shop.timer", time.Minute), dir: filepath.Join(s.Dir, fmt.Sprintf("box-%04d", i)),
			record: synced.Record{Desired: map[string]synced.Want{}},
		})
	}
	return all
}

// stand has the clock stand: between scenes no time passes.
func (p *play) stand(at time.Time) { p.clock.Store(&clock{at: at}) }

// run has all boxes follow the tag for so long, at a scale.
func (p *play) run(scale int, long time.Duration) {
	begun := p.clock.Load().at
	now := &clock{time.Now(), begun, time.Duration(scale)}
	p.clock.Store(now)
	end := begun.Add(long)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	for _, b := range p.boxes {
		all.Go(func() {
			for minute := begun.Truncate(time.Minute); ; minute = minute.Add(time.Minute) {
				at := minute.Add(b.second)
				if at.Before(begun) {
					continue
				}
				if !at.Before(end) || now.until(ctx, at) != nil {
					return
				}
				if syncplan.Due(b.record.Tried, at, p.Interval, syncentry.Offset(b.id, "shop", p.Interval)) {
					b.record.Tried = at
					p.try(ctx, b)
				}
			}
		})
	}
	all.Wait()
	p.stand(end)
}

// try is one sync of a box: a process of its own, which knows what its record says.
func (p *play) try(ctx context.Context, b *box) {
	p.tries.Add(1)
	was := b.record.Digest
	err := p.sync(ctx, b)
	if err != nil {
		p.failed.Add(1)
		p.problem.Store(err.Error())
		return
	}
	if was != p.want && b.record.Digest == p.want {
		p.behind.Add(-1)
	}
}

func (p *play) sync(ctx context.Context, b *box) error {
	repo, err := registry.Open(p.ref, registry.Options{})
	if err != nil {
		return err
	}
	now, err := pulling.Look(ctx, repo, p.ref, platform, pulling.Desired{Digest: b.record.Digest, Handlers: b.record.Desired})
	if err != nil || now.Digest == b.record.Digest {
		return err
	}
	var parts []pulling.Part
	for name, want := range now.Handlers {
		if b.record.Desired[name].File != want.File {
			parts = append(parts, pulling.Part{Blob: want.File, MediaType: artifact.PluginType, Path: filepath.Join(b.dir, want.File.Version(), name+".so")})
		}
	}
	if _, err := pulling.Pull(ctx, repo, parts, io.Discard); err != nil {
		return err
	}
	b.record.Digest, b.record.Desired = now.Digest, now.Handlers
	return os.RemoveAll(b.dir) // they are placed
}

// release pushes so many of the handlers anew, and has the tag name all.
func (p *play) release(changed int, version string) error {
	ctx := context.Background()
	repo, err := registry.Open(p.stock, registry.Options{})
	if err != nil {
		return err
	}
	var state artifact.State
	for i := range p.Handlers {
		v := version
		if i >= changed {
			v = "v0"
		}
		content := []byte(fmt.Sprintf("handler %d, version %s;", i, v))
		content = append(content, make([]byte, p.Size-int64(len(content)))...)
		h := artifact.Handler{Name: fmt.Sprintf("h%03d", i), Platform: platform, Plugin: artifact.Blob(artifact.PluginType, content)}
		manifest := h.Encode()
		err := errors.Join(repo.PushBlob(ctx, artifact.Empty, bytes.NewReader([]byte("{}")), nil), repo.PushBlob(ctx, h.Plugin, bytes.NewReader(content), nil))
		if err == nil {
			_, err = repo.PushManifest(ctx, "", artifact.ManifestType, manifest)
		}
		if err != nil {
			return err
		}
		state = append(state, artifact.EntryOf(h, manifest))
	}
	d, err := repo.PushManifest(ctx, repo.Reference(), artifact.IndexType, state.Encode())
	p.want = d.Digest
	p.behind.Store(int64(p.Boxes))
	return err
}
