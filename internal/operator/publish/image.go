package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
)

// runImage writes an image of the files, one for each platform, and has the tag name it.
func (p *Push) runImage(ctx context.Context, s *cli.Session, repo *registry.Repository, tag string, files []*file, out *Pushed) error {
	byPlatform := map[string][]*file{}
	for _, f := range files {
		of := f.handler.Platform
		if byPlatform[of] = append(byPlatform[of], f); len(byPlatform[of]) > artifact.MaxImage {
			return fmt.Errorf("an image has %d handlers at the most; make several, or a desired state, without --image", artifact.MaxImage)
		}
	}
	was, err := before(ctx, repo, tag)
	if err != nil {
		return err
	}
	layers := make(map[*file]artifact.Layer, len(files))
	for _, f := range files {
		if layers[f], err = f.layer(); err != nil {
			return err
		}
	}
	err = p.each(ctx, s, files, func(ctx context.Context, f *file, sent func(int64)) error {
		content := f.tar()
		defer content.Close()
		return f.changed(repo.PushBlob(ctx, layers[f].Blob, content, sent))
	})
	if err != nil {
		return err
	}
	manifests := make(map[string]artifact.Descriptor, len(byPlatform))
	for platform, of := range byPlatform {
		var all []artifact.Layer
		for _, f := range of {
			all = append(all, layers[f])
		}
		config, manifest := artifact.EncodeImage(platform, all)
		if err := repo.PushBlob(ctx, artifact.Blob(artifact.ConfigType, config), bytes.NewReader(config), nil); err != nil {
			return err
		}
		if manifests[platform], err = repo.PushManifest(ctx, "", artifact.ManifestType, manifest); err != nil {
			return err
		}
		for _, f := range of {
			f.manifest = manifest
		}
	}
	now, err := repo.PushManifest(ctx, tag, artifact.IndexType, artifact.EncodeImages(manifests))
	out.Digest, out.Previous, out.Changed = now.Digest, was.Digest, now.Digest != was.Digest
	return err
}

// before is what the tag names, nothing or images: what boxes follow is not written over.
func before(ctx context.Context, repo *registry.Repository, tag string) (was artifact.Descriptor, err error) {
	was, err = repo.Resolve(ctx, tag)
	if errors.Is(err, registry.ErrNoTag) {
		return was, nil
	}
	if err != nil {
		return was, err
	}
	b, err := repo.Manifest(ctx, was, artifact.MaxIndex)
	if err != nil {
		return was, err
	}
	if err := artifact.IsImages(b); err != nil {
		return was, fmt.Errorf("%s:%s is no image that was pushed so: %w; name another tag, such as %s:%s-image", repo.Name(), tag, err, repo.Name(), tag)
	}
	return was, nil
}

// tar is the layer that holds the file and its signature.
func (f *file) tar() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		content, err := os.Open(f.path)
		if err == nil {
			defer content.Close()
			err = artifact.WriteLayer(w, f.handler, content, f.signature)
		}
		w.CloseWithError(err)
	}()
	return r
}

// layer describes it.
func (f *file) layer() (artifact.Layer, error) {
	content := f.tar()
	defer content.Close()
	d, err := artifact.ReadBlob(artifact.LayerType, content)
	return artifact.Layer{Handler: f.handler, Blob: d}, f.changed(err)
}

// changed is err, or that the file is no longer what was read of it.
func (f *file) changed(err error) error {
	if err == nil {
		return nil
	}
	if now, e := describe(f.path); e == nil && now.Digest != f.handler.Plugin.Digest {
		return fmt.Errorf("%q changed meanwhile; try again once it is built", f.path)
	}
	return err
}
