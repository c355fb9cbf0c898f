package publish

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
)

// file is one that is to be pushed.
type file struct {
	path      string
	handler   artifact.Handler
	manifest  []byte
	signature []byte // the text of its .minisig; nil for none
}

func (f *file) entry() artifact.Entry { return artifact.EntryOf(f.handler, f.manifest) }

// inspect reads what a file says of itself, without running it. It may be for another
// platform than this machine's. The error is a *refusal.Error where it is no handler's.
func inspect(path string) (*file, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".so")
	if err := deploy.CheckName(name); err != nil {
		return nil, err
	}
	info, platform, err := elfplug.InspectAny(path)
	if err != nil {
		return nil, err
	}
	if err := info.Contract(); err != nil {
		return nil, err
	}
	f := &file{path: path, handler: artifact.Handler{Name: name, Platform: platform}}
	f.handler.About(elfplug.Release(info.GoVersion), info.Settings)
	if f.handler.Plugin, err = describe(path); err != nil {
		return nil, err
	}
	if f.handler.Plugin.Size > artifact.MaxPlugin {
		return nil, badfile.TooLarge(artifact.MaxPlugin)
	}
	if err := f.sign(); err != nil {
		return nil, err
	}
	f.manifest = f.handler.Encode()
	return f, nil
}

// sign takes the signature beside the file along. Whether it holds, and of whom, the boxes decide.
func (f *file) sign() error {
	text, _, err := signature.Read(f.path)
	if errors.Is(err, signature.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	said, err := signature.Parse(text)
	if err != nil {
		return err
	}
	if said.Handler != "" && said.Handler != f.handler.Name {
		return badfile.OtherHandler(said.Handler, f.handler.Name)
	}
	f.signature = []byte(text)
	d := artifact.Blob(artifact.SignatureType, f.signature)
	f.handler.Signature = &d
	return nil
}

// describe hashes a file.
func describe(path string) (d artifact.Descriptor, err error) {
	f, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer f.Close()
	return artifact.ReadBlob(artifact.PluginType, f)
}

// push writes the file, its signature and its manifest, as far as they are not there; sent
// is told of bytes as they go.
func (f *file) push(ctx context.Context, repo *registry.Repository, sent func(int64)) error {
	content, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := f.changed(repo.PushBlob(ctx, f.handler.Plugin, content, sent)); err != nil {
		return err
	}
	if f.signature != nil {
		if err := repo.PushBlob(ctx, *f.handler.Signature, bytes.NewReader(f.signature), nil); err != nil {
			return err
		}
	}
	_, err = repo.PushManifest(ctx, "", artifact.ManifestType, f.manifest)
	return err
}
