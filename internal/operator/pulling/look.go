// Package pulling finds out what a registry wants on this machine, and brings it, into files that
// may hold the beginning of it already.
package pulling

import (
	"context"
	"fmt"
	"sync"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
)

// Desired is what an index says for a platform.
type Desired struct {
	Digest   string // of the index
	Handlers map[string]synced.Want
	Lacking  []string // handlers that there are for other platforms alone
}

// Look asks the registry what ref, which repo was opened with, names. It is one request where that is what was known
// before, and one more for each handler that is another. Without an error all of it is there, but for its files.
func Look(ctx context.Context, repo *registry.Repository, ref, platform string, known Desired) (Desired, error) {
	found, err := repo.Resolve(ctx, repo.Reference())
	if err != nil || found.Digest == known.Digest {
		return known, err
	}
	text, err := repo.Manifest(ctx, found, artifact.MaxIndex)
	if err != nil {
		return known, err
	}
	state, err := artifact.DecodeState(text)
	if err != nil {
		return known, fmt.Errorf("%s: %w; nothing is changed", ref, err)
	}
	if len(state) == 0 {
		return known, fmt.Errorf("%s names no handler: nothing is removed for that; to have none, stop following it, and plugserverctl remove each", ref)
	}
	now := Desired{Digest: found.Digest, Handlers: make(map[string]synced.Want)}
	ours, lacking := state.For(platform)
	now.Lacking = lacking
	by := make(map[string]synced.Want) // by manifest
	for _, w := range known.Handlers {
		by[w.Manifest] = w
	}
	var mu sync.Mutex
	err = registry.Each(ctx, ours, func(ctx context.Context, e artifact.Entry) (err error) {
		w, is := by[e.Manifest.Digest]
		if !is {
			if w, err = manifest(ctx, repo, ref, e); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		now.Handlers[e.Name] = w
		return nil
	})
	if err != nil {
		return known, err
	}
	return now, nil
}

// manifest reads what a handler consists of.
func manifest(ctx context.Context, repo *registry.Repository, ref string, e artifact.Entry) (w synced.Want, err error) {
	text, err := repo.Manifest(ctx, e.Manifest, artifact.MaxManifest)
	if err != nil {
		return w, err
	}
	h, err := artifact.DecodeHandler(text)
	if err != nil {
		return w, fmt.Errorf("%s: handler %s: %w; nothing is changed", ref, e.Name, err)
	}
	if h.Name != e.Name || h.Platform != e.Platform {
		return w, fmt.Errorf("%s: what it has for handler %s for %s is %s for %s; nothing is changed: push it again", ref, e.Name, e.Platform, h.Name, h.Platform)
	}
	w = synced.Want{Manifest: e.Manifest.Digest, File: synced.Blob{Digest: h.Plugin.Digest, Size: h.Plugin.Size}}
	if h.Signature != nil {
		w.Signature = synced.Blob{Digest: h.Signature.Digest, Size: h.Signature.Size}
	}
	return w, nil
}
