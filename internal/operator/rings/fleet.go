package rings

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/desired"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Differ is what fleet diff prints with --json: fields are added in later versions, never renamed.
type Differ struct {
	From    Named        `json:"from"`
	To      Named        `json:"to"`
	Same    bool         `json:"same"`
	Changes []Difference `json:"changes"`
}

// Named is a reference, and what it names.
type Named struct {
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
}

// Difference is one of a handler, for one platform. Either side may be none.
type Difference struct {
	Handler  string   `json:"handler"`
	Platform string   `json:"platform"`
	From     *Release `json:"from,omitempty"`
	To       *Release `json:"to,omitempty"`
}

// Release is what a registry has of a handler.
type Release struct {
	Digest   string `json:"digest"`  // of its manifest
	Version  string `json:"version"` // of the file, as status has it
	Go       string `json:"go"`
	Settings string `json:"settings,omitempty"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Signed   bool   `json:"signed"`
}

func (r *Release) String() string {
	text := "version " + r.Version + ", " + cmp.Or(r.Go, "of no known Go")
	if r.Revision != "" {
		text += ", revision " + r.Revision[:min(len(r.Revision), 12)]
	}
	if r.Modified {
		text += " with changes"
	}
	if !r.Signed {
		text += ", not signed"
	}
	return text
}

// FleetDiff compares what two references name.
var FleetDiff = cli.Command{
	Name:  "fleet diff",
	Tells: true,
	Args:  "REF REF2",
	Short: "show what differs between what two tags of a registry name, or two digests",
	Long:  "Changes lead from REF to REF2: from prod to canary they are what promote would change. Only the registry is asked, no daemon. Two states are the same where their digests are.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		open := desired.Flags(flags)
		return func(ctx context.Context, s *cli.Session) error {
			var repos [2]*registry.Repository
			var states [2]artifact.State
			var named [2]Named
			for i := range repos {
				repo, err := open(s.Arg(i))
				if err != nil {
					return err
				}
				ref := repo.Reference()
				if ref == "" {
					return fmt.Errorf("fleet diff: %s: name a tag or a digest", repo.Name())
				}
				state, d, err := desired.ReadState(ctx, repo, ref)
				if err != nil {
					return fmt.Errorf("fleet diff: %w", err)
				}
				repos[i], states[i], named[i] = repo, state, Named{reference(repo, ref), d.Digest}
			}
			out := Differ{From: named[0], To: named[1], Same: named[0].Digest == named[1].Digest, Changes: []Difference{}}
			for _, c := range states[0].Diff(states[1]) {
				d := Difference{Handler: c.Name, Platform: c.Platform}
				var err, err2 error
				d.From, err = release(ctx, repos[0], states[0], c)
				d.To, err2 = release(ctx, repos[1], states[1], c)
				if err := errors.Join(err, err2); err != nil {
					return fmt.Errorf("fleet diff: %w", err)
				}
				out.Changes = append(out.Changes, d)
			}
			s.Tell(out, "%s", out.text())
			return nil
		}
	},
}

// release reads the manifest of a handler of a state; nil where that has none.
func release(ctx context.Context, repo *registry.Repository, in artifact.State, c artifact.Change) (*Release, error) {
	e, ok := in.Find(c.Name, c.Platform)
	if !ok {
		return nil, nil
	}
	b, err := repo.Manifest(ctx, e.Manifest, artifact.MaxManifest)
	if err != nil {
		return nil, err
	}
	h, err := artifact.DecodeHandler(b)
	return &Release{e.Manifest.Digest, artifact.Short(h.Plugin.Digest), h.Go, h.Settings, h.Revision, h.Modified, h.Signature != nil}, err
}

func (d *Differ) text() string {
	var b strings.Builder
	for _, c := range d.Changes {
		of := c.Handler + " for " + c.Platform + ": "
		switch {
		case c.From == nil:
			fmt.Fprintf(&b, "new:     %s\n", terminal.Escape(of+c.To.String()))
		case c.To == nil:
			fmt.Fprintf(&b, "removed: %s\n", terminal.Escape(of+c.From.String()))
		default:
			fmt.Fprintf(&b, "changed: %s\n", terminal.Escape(of+c.From.String()+" -> "+c.To.String()))
		}
	}
	if d.Same {
		fmt.Fprintf(&b, "same: both are %s\n", d.From.Digest)
	} else {
		fmt.Fprintf(&b, "%s is %s\n%s is %s\n", d.From.Ref, d.From.Digest, d.To.Ref, d.To.Digest)
	}
	return b.String()
}

// changes tells what differs, a line for each, by name alone.
func changes(all []artifact.Change) string {
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "%s: %s for %s\n", how(c), c.Name, c.Platform)
	}
	return b.String()
}

func how(c artifact.Change) string {
	switch {
	case c.From == "":
		return "new"
	case c.To == "":
		return "removed"
	}
	return "changed"
}

// NamedHistory is what fleet history prints with --json: fields are added in later versions, never renamed.
type NamedHistory struct {
	Ref     string         `json:"ref"`
	Digest  string         `json:"digest"`
	Note    string         `json:"note,omitempty"`
	Records []NamedVersion `json:"records"` // the newest first
}

// NamedVersion is what a tag named from a time on.
type NamedVersion struct {
	Digest   string            `json:"digest"`
	When     time.Time         `json:"when"`
	By       string            `json:"by"`
	Action   string            `json:"action"`
	From     string            `json:"from,omitempty"`
	Previous string            `json:"previous,omitempty"`
	If       string            `json:"if,omitempty"`
	Changes  []artifact.Change `json:"changes"` // empty where the registry has one of the two no more
}

// FleetHistory tells what a tag has named.
var FleetHistory = cli.Command{
	Name:  "fleet history",
	Tells: true,
	Args:  "REF",
	Short: "list what a tag of a registry has named, the newest first: since when, by whom, from where",
	Long: "Only the registry is asked, no daemon. What it says is what push and promote have written beside the tag; who may write there may write anything. " +
		"To go back: plugserverctl promote registry.example.com/shop@DIGEST registry.example.com/shop:prod.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		open := desired.Flags(flags)
		most := flags.Int("n", 10, "list at most this `NUMBER`; 100 are kept")
		return func(ctx context.Context, s *cli.Session) error {
			repo, err := open(s.Arg(0))
			if err != nil {
				return err
			}
			t, err := desired.Target(s, repo, "-")
			if err != nil {
				return err
			}
			out, err := past(ctx, t, *most)
			if err != nil {
				return fmt.Errorf("fleet history: %w", err)
			}
			s.Tell(out, "%s", out.text())
			return nil
		}
	},
}

// past reads the history, and what each record has changed.
func past(ctx context.Context, t *desired.Tag, most int) (*NamedHistory, error) {
	d, err := t.Repo.Resolve(ctx, t.Name)
	if err != nil {
		return nil, err
	}
	h, err := t.History(ctx)
	if err != nil {
		return nil, err
	}
	out := &NamedHistory{Ref: reference(t.Repo, t.Name), Digest: d.Digest, Records: []NamedVersion{}}
	if len(h) == 0 || h[0].State.Digest != d.Digest {
		out.Note = "what it names now is not recorded: another tool has set it, or the record got lost"
	}
	states := make(map[string]artifact.State)
	state := func(digest string) (artifact.State, bool) {
		s, ok := states[digest]
		if !ok && digest != "" {
			var err error
			if s, _, err = desired.ReadState(ctx, t.Repo, digest); err != nil {
				return nil, false
			}
			states[digest] = s
		}
		return s, true
	}
	for _, r := range h[:min(len(h), max(0, most))] {
		v := NamedVersion{r.State.Digest, r.When, r.By, r.Action, r.From, r.Previous, r.If, []artifact.Change{}}
		before, ok := state(r.Previous)
		after, ok2 := state(r.State.Digest)
		if ok && ok2 {
			v.Changes = append(v.Changes, before.Diff(after)...)
		}
		out.Records = append(out.Records, v)
	}
	return out, nil
}

func (h *NamedHistory) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is %s\n", h.Ref, h.Digest)
	if h.Note != "" {
		fmt.Fprintf(&b, "%s\n", h.Note)
	}
	for _, r := range h.Records {
		fmt.Fprintf(&b, "\n%s  %s  %s by %s\n", r.When.Format(time.RFC3339), artifact.Short(r.Digest), terminal.Escape(cmp.Or(r.Action, "set")), terminal.Escape(cmp.Or(r.By, "somebody")))
		if r.From != "" {
			fmt.Fprintf(&b, "  from %s\n", terminal.Escape(r.From))
		}
		for line := range strings.Lines(r.If) {
			fmt.Fprintf(&b, "  if %s\n", terminal.Escape(strings.TrimSpace(line)))
		}
		for line := range strings.Lines(changes(r.Changes)) {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}
