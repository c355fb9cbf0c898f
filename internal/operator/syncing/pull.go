package syncing

import (
	"context"
	"errors"
	"fmt"

	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/pulling"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
	"github.com/andrestc/go-plugserver/internal/operator/vetting"
)

// look asks the registry what is wanted.
func (r *run) look(ctx context.Context) error {
	now, err := pulling.Look(ctx, r.repo, r.o.Ref, platform, pulling.Desired{Digest: r.record.Digest, Handlers: r.record.Desired, Lacking: r.record.Lacking})
	if err != nil {
		return err
	}
	r.out.Digest = now.Digest
	r.record.Digest, r.record.Desired, r.record.Lacking = now.Digest, now.Handlers, now.Lacking
	return nil
}

// pull brings what is missing.
func (r *run) pull(ctx context.Context) (err error) {
	var parts []pulling.Part
	for _, a := range r.all {
		if a.Kind != syncplan.Place {
			continue
		}
		if a.Comes() {
			parts = append(parts, pulling.Part{Blob: a.Want.File, MediaType: artifact.PluginType, Path: r.files.Stage(a)})
		}
		if a.Want.Signature.Digest != "" {
			parts = append(parts, pulling.Part{Blob: a.Want.Signature, MediaType: artifact.SignatureType, Path: r.files.Stage(a) + signature.Suffix})
		}
	}
	r.out.Bytes, err = pulling.Pull(ctx, r.repo, parts, r.s.Problems)
	if errors.Is(err, pulling.ErrFull) {
		r.files.Discard() // what is half there would keep the disk full
		return fmt.Errorf("%w; nothing is changed: make room in %s", err, r.daemon.Handlers)
	}
	return err
}

// vet checks what came: whether it may run here, and can. What does not is refused.
func (r *run) vet() error {
	vet := vetting.Vet{Policy: r.policy, Now: r.now, Binaries: r.o.Binaries, Blind: r.o.Blind, Builds: r.daemon.BuildsCells}
	for i, a := range r.all {
		if a.Kind != syncplan.Place {
			continue
		}
		path := r.files.Path(a.Handler)
		if a.Comes() {
			path = r.files.Stage(a)
		}
		text := ""
		if a.Want.Signature.Digest != "" {
			var err error
			if text, _, err = signature.Read(r.files.Stage(a)); err != nil {
				return err
			}
		}
		refused, err := vet.File(a.Handler, path, text)
		if err != nil {
			return err
		}
		if refused != nil {
			r.all[i] = syncplan.Action{Handler: a.Handler, Kind: syncplan.Refuse, Want: a.Want, Was: a.Was, Refusal: refused}
		}
	}
	return nil
}
