package syncing

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/check"
	"github.com/andrestc/go-plugserver/internal/operator/pulling"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
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
	for i, a := range r.all {
		if a.Kind != syncplan.Place {
			continue
		}
		path := r.files.Path(a.Handler)
		if a.Comes() {
			path = r.files.Stage(a)
		}
		refused, err := r.judge(a, path)
		if err != nil {
			return err
		}
		if refused != nil {
			r.all[i] = syncplan.Action{Handler: a.Handler, Kind: syncplan.Refuse, Want: a.Want, Was: a.Was, Refusal: refused}
		}
	}
	return nil
}

// judge decides on a file as the daemon will, as far as that is known.
func (r *run) judge(a syncplan.Action, path string) (*refusal.Error, error) {
	text := ""
	if a.Want.Signature.Digest != "" {
		var err error
		if text, _, err = signature.Read(r.files.Stage(a)); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	said, err := r.policy.Check(a.Handler, f, text)
	if err == nil && text != "" && r.policy.On() {
		err = r.policy.Order(said, served(r.now[a.Handler]))
	}
	if no := new(refusal.Error); errors.As(err, &no) {
		return no, nil
	}
	if err != nil {
		return nil, err
	}
	report, err := check.Inspect(path, r.o.Binaries)
	if err != nil {
		if no := new(refusal.Error); errors.As(err, &no) && r.o.Blind {
			return nil, nil
		}
		return nil, err
	}
	if report.WouldServe(r.daemon.BuildsCells || r.o.Blind) {
		return nil, nil
	}
	last := report.Last()
	return &refusal.Error{Reason: last.Reason, Mend: last.Mend, Or: last.Or}, nil
}

// served is what the signature of the version says that serves.
func served(h api.Handler) (said signature.Signed) {
	if h.Signed == nil {
		return said
	}
	said.Version = h.Signed.Version
	if !h.Signed.Time.IsZero() {
		said.Time = h.Signed.Time.Unix()
	}
	return said
}
