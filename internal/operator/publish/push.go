// Package publish puts handlers' files into a registry, under the tag that boxes follow.
package publish

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/desired"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Pushed is what push prints with --json: fields are added in later versions, never renamed.
type Pushed struct {
	Ref      string          `json:"ref"`
	Digest   string          `json:"digest"`             // of the desired state, or the image
	Previous string          `json:"previous,omitempty"` // what the tag named before
	Changed  bool            `json:"changed"`
	Handlers []PushedHandler `json:"handlers"`
	Removed  []string        `json:"removed,omitempty"`   // handlers of which nothing is left
	Taken    []Taken         `json:"taken_out,omitempty"` // what is there no more, for each platform
}

// Taken is a handler that was taken out, for one platform.
type Taken struct {
	Handler  string `json:"handler"`
	Platform string `json:"platform"`
}

// PushedHandler is one file.
type PushedHandler struct {
	Handler  string `json:"handler"`
	Platform string `json:"platform"`
	Digest   string `json:"digest"`  // of its manifest
	Version  string `json:"version"` // of the file, as status has it
	Size     int64  `json:"size_bytes"`
	Go       string `json:"go"`
	Revision string `json:"revision,omitempty"`
	Signed   bool   `json:"signed"`
}

// Push is what the command was told.
type Push struct {
	open     func(ref string) (*registry.Repository, error)
	remove   []string
	only     *bool
	platform string // that alone is changed; "" for all
	image    *bool
	by       *string
}

// PushFlags declares the flags of push, besides those of a build.
func PushFlags(flags *flag.FlagSet) *Push {
	p := &Push{open: desired.Flags(flags), by: desired.ByFlag(flags)}
	flags.Func("remove", "take the handler `NAME` out of the desired state, for all platforms or that of --platform; may be repeated", func(name string) error {
		p.remove = append(p.remove, name)
		return deploy.CheckName(name)
	})
	p.only = flags.Bool("only", false, "take all handlers out that are not pushed now")
	flags.Func("platform", "change what is for `OS/ARCH` alone, such as linux/arm64: what --remove and --only take out, and what may be pushed", func(platform string) error {
		p.platform = platform
		return artifact.CheckPlatform(platform)
	})
	p.image = flags.Bool("image", false, "write a container image that holds these files and nothing else, for volumes of containers: no desired state, and a tag of its own")
	return p
}

// Run pushes files to the tag that ref names. build gives the file of an argument.
func (p *Push) Run(ctx context.Context, s *cli.Session, ref string, args []string, build func(arg string) (string, error)) error {
	repo, err := p.open(ref)
	if err != nil {
		return err
	}
	t, err := desired.Target(s, repo, *p.by)
	if err != nil {
		return err
	}
	switch {
	case *p.image && (p.remove != nil || *p.only || p.platform != ""):
		return errors.New("push: an --image holds what is pushed now: leave out --remove, --only and --platform")
	case *p.image && len(args) == 0, len(args) == 0 && p.remove == nil && !*p.only:
		return errors.New("push: nothing to do; name files or packages, or what to --remove")
	}
	files, err := p.files(s, args, build)
	if err != nil {
		return err
	}
	out := Pushed{Ref: repo.Name() + ":" + t.Name, Handlers: []PushedHandler{}}
	if *p.image {
		if err := p.runImage(ctx, s, repo, t.Name, files, &out); err != nil {
			return fmt.Errorf("push: %w", err)
		}
		p.told(s, &out, files)
		return nil
	}
	if err := p.upload(ctx, s, repo, files); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	was, now, err := t.Change(ctx, func(before artifact.State) artifact.State {
		after := p.edit(before, files)
		stay := after.Names()
		out.Removed = slices.DeleteFunc(before.Names(), func(name string) bool { _, stays := slices.BinarySearch(stay, name); return stays })
		out.Taken = nil
		for _, c := range before.Diff(after) {
			if c.To == "" {
				out.Taken = append(out.Taken, Taken{c.Name, c.Platform})
			}
		}
		return after
	}, artifact.Record{Action: artifact.Pushed})
	if err != nil && !errors.Is(err, desired.ErrNothing) {
		return fmt.Errorf("push: %w", err)
	}
	out.Digest, out.Previous, out.Changed = now.Digest, was.Digest, err == nil
	p.told(s, &out, files)
	return nil
}

// edit is the state with the files in it.
func (p *Push) edit(before artifact.State, files []*file) artifact.State {
	before = before.Without(func(e artifact.Entry) bool {
		return (p.platform == "" || e.Platform == p.platform) && (*p.only || slices.Contains(p.remove, e.Name))
	})
	var entries []artifact.Entry
	for _, f := range files {
		entries = append(entries, f.entry())
	}
	return before.With(entries...)
}

// files builds what is source, and reads all. What cannot be served is told, and nothing is
// pushed then.
func (p *Push) files(s *cli.Session, args []string, build func(string) (string, error)) (files []*file, err error) {
	refused := false
	for _, arg := range args {
		path := arg
		if !strings.HasSuffix(arg, ".so") {
			if path, err = build(arg); err != nil {
				return nil, err
			}
		}
		f, err := inspect(path)
		if r := new(refusal.Error); errors.As(err, &r) {
			r = r.Named(path)
			report.Refusal(s.Problems, filepath.Base(path), api.Refusal{Reason: r.Reason, Mend: r.Mend, Or: r.Or})
			refused = true
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("push %q: %w", arg, err)
		}
		for _, o := range files {
			if o.handler.Name == f.handler.Name && o.handler.Platform == f.handler.Platform {
				return nil, fmt.Errorf("push: both %q and %q are handler %s for %s", o.path, f.path, f.handler.Name, f.handler.Platform)
			}
		}
		if p.platform != "" && f.handler.Platform != p.platform {
			return nil, fmt.Errorf("push: %q is for %s, and --platform says %s", path, f.handler.Platform, p.platform)
		}
		if slices.Contains(p.remove, f.handler.Name) {
			return nil, fmt.Errorf("push: handler %s is to be pushed, and to be taken out", f.handler.Name)
		}
		files = append(files, f)
	}
	if refused {
		fmt.Fprintf(s.Problems, "nothing was pushed\n")
		return nil, cli.ErrRefused
	}
	return files, nil
}

// upload writes all files.
func (p *Push) upload(ctx context.Context, s *cli.Session, repo *registry.Repository, files []*file) error {
	if err := repo.PushBlob(ctx, artifact.Empty, bytes.NewReader([]byte("{}")), nil); err != nil {
		return err
	}
	return p.each(ctx, s, files, func(ctx context.Context, f *file, sent func(int64)) error { return f.push(ctx, repo, sent) })
}

// each pushes all files, some at a time, and tells how far it is where it takes long.
func (p *Push) each(ctx context.Context, s *cli.Session, files []*file, push func(ctx context.Context, f *file, sent func(int64)) error) error {
	var bytes atomic.Int64
	defer terminal.Every(5*time.Second, func() {
		fmt.Fprintf(s.Problems, "sent %sB\n", terminal.Size(bytes.Load()))
	})()
	return registry.Each(ctx, files, func(ctx context.Context, f *file) error {
		last := int64(0)
		return push(ctx, f, func(n int64) { bytes.Add(n - last); last = n })
	})
}

// told prints what came of it.
func (p *Push) told(s *cli.Session, out *Pushed, files []*file) {
	var text strings.Builder
	for _, f := range files {
		h, d := f.handler, f.entry().Manifest.Digest
		out.Handlers = append(out.Handlers, PushedHandler{h.Name, h.Platform, d, artifact.Short(h.Plugin.Digest), h.Plugin.Size, h.Go, h.Revision, h.Signature != nil})
		fmt.Fprintf(&text, "pushed: %s, version %s for %s", h.Name, artifact.Short(h.Plugin.Digest), h.Platform)
		if h.Signature != nil {
			text.WriteString(", signed")
		}
		text.WriteByte('\n')
	}
	for _, name := range out.Removed {
		fmt.Fprintf(&text, "removed: %s\n", name)
	}
	for _, t := range out.Taken {
		if !slices.Contains(out.Removed, t.Handler) {
			fmt.Fprintf(&text, "removed: %s for %s\n", t.Handler, t.Platform)
		}
	}
	switch {
	case !out.Changed:
		fmt.Fprintf(&text, "unchanged: %s is %s\n", out.Ref, out.Digest)
	case out.Previous == "":
		fmt.Fprintf(&text, "new: %s is %s\n", out.Ref, out.Digest)
	default:
		fmt.Fprintf(&text, "changed: %s is %s, and was %s\n", out.Ref, out.Digest, out.Previous)
	}
	s.Tell(out, "%s", text.String())
}
