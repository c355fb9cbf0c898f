// Package rings has releases go from one tag of a registry to the next, each a ring of boxes,
// and tells what tags name and have named.
package rings

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/desired"
	"github.com/andrestc/go-plugserver/internal/operator/promql"
	"github.com/andrestc/go-plugserver/internal/operator/registry"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Promoted is what promote prints with --json: fields are added in later versions, never renamed.
type Promoted struct {
	From       string            `json:"from"`
	To         string            `json:"to"`
	Digest     string            `json:"digest"`             // of the desired state, under both
	Previous   string            `json:"previous,omitempty"` // what To named before
	Changed    bool              `json:"changed"`
	Changes    []artifact.Change `json:"changes"`
	Conditions []Condition       `json:"conditions,omitempty"`
}

// Condition is one that promote asked for.
type Condition struct {
	If     string `json:"if"`
	Holds  bool   `json:"holds"`
	Answer string `json:"answer"` // the last one
	Asked  int    `json:"asked"`  // so many times
}

// promotion is promote as it was called.
type promotion struct {
	open       func(ref string) (*registry.Repository, error)
	by         *string
	ifs        []string
	prometheus *string
	wait       *time.Duration
	soak       *time.Duration
	every      *time.Duration
}

// Promote has one tag name what another does.
var Promote = cli.Command{
	Name:  "promote",
	Tells: true,
	Args:  "FROM TO",
	Short: "have one tag name what another does, once conditions hold",
	Long: "FROM and TO are references such as registry.example.com/shop:canary and registry.example.com/shop:prod; FROM may be one of a digest, to go back to. " +
		"What TO then names is FROM's, digest for digest. A condition that compares, without bool, holds where Prometheus returns anything; " +
		"any other where it returns something, and no value is 0. Needs no daemon. Exit 1 if a condition does not hold, once, or FROM or TO changes meanwhile: TO is as it was then.",
	Bind: func(flags *flag.FlagSet) cli.Runner {
		p := &promotion{open: desired.Flags(flags), by: desired.ByFlag(flags)}
		flags.Func("if", "only if this holds, a `PROMQL`, in which $DIGEST is what FROM names; may be repeated", func(condition string) error {
			if strings.TrimSpace(condition) == "" {
				return errors.New("it is empty")
			}
			p.ifs = append(p.ifs, condition)
			return nil
		})
		p.prometheus = flags.String("prometheus", "", "the `URL` of the Prometheus that is asked, such as http://prometheus.example.com:9090")
		p.wait = flags.Duration("wait", 0, "how long it may take until all conditions hold, a `TIME` such as 15m")
		p.soak = flags.Duration("soak", 0, "go on asking from then on, until the end of a `TIME` such as 10m")
		p.every = flags.Duration("every", 15*time.Second, "how often to ask meanwhile, a `TIME`")
		return func(ctx context.Context, s *cli.Session) error { return p.run(ctx, s, s.Arg(0), s.Arg(1)) }
	},
}

func (p *promotion) run(ctx context.Context, s *cli.Session, from, to string) error {
	if len(p.ifs) > 0 != (*p.prometheus != "") {
		return errors.New("promote: --if and --prometheus go together")
	}
	if *p.wait < 0 || *p.soak < 0 || *p.every <= 0 || *p.wait+*p.soak > 0 && p.ifs == nil {
		return errors.New("promote: --wait and --soak are how long to ask for what --if says")
	}
	source, err := p.open(from)
	if err != nil {
		return err
	}
	if source.Reference() == "" {
		return fmt.Errorf("promote: %s: name a tag or a digest", source.Name())
	}
	repo, err := p.open(to)
	if err != nil {
		return err
	}
	t, err := desired.Target(s, repo, *p.by)
	if err != nil {
		return err
	}
	if err := p.promote(ctx, s, source, t); err != nil {
		return fmt.Errorf("promote: %w", err) // cli.ErrRefused stays one
	}
	return nil
}

// reference writes one as it was named: a tag, or a digest.
func reference(repo *registry.Repository, ref string) string {
	if artifact.IsDigest(ref) {
		return repo.Name() + "@" + ref
	}
	return repo.Name() + ":" + ref
}

func (p *promotion) promote(ctx context.Context, s *cli.Session, source *registry.Repository, t *desired.Tag) error {
	after, d, err := desired.ReadState(ctx, source, source.Reference())
	if err != nil {
		return err
	}
	before, was, err := t.Read(ctx)
	if err != nil {
		return err
	}
	out := Promoted{From: reference(source, source.Reference()), To: reference(t.Repo, t.Name), Digest: d.Digest, Previous: was.Digest, Changes: before.Diff(after)}
	if was.Digest == d.Digest {
		s.Tell(out, "unchanged: %s is %s already\n", out.To, d.Digest)
		return nil
	}
	if len(p.ifs) > 0 {
		err = p.judge(ctx, s, &out, func() error {
			now, err := source.Resolve(ctx, source.Reference())
			if err == nil && now.Digest != d.Digest {
				err = fmt.Errorf("%s %w, to %s: what was judged is %s; promote again", out.From, errMoved, now.Digest, d.Digest)
			}
			return err
		})
	}
	if errors.Is(err, cli.ErrRefused) {
		s.Tell(out, "")
		fmt.Fprintf(s.Problems, "not promoted: %s\n", out.To)
	}
	if err != nil {
		return err
	}
	if err := p.set(ctx, source, t, was, d, out); err != nil {
		return err
	}
	out.Changed = true
	s.Tell(out, "%spromoted: %s is %s\n", changes(out.Changes), out.To, d.Digest)
	return nil
}

// set has the tag name the state.
func (p *promotion) set(ctx context.Context, source *registry.Repository, t *desired.Tag, was, d artifact.Descriptor, out Promoted) error {
	if source.Name() != t.Repo.Name() {
		if err := source.Copy(ctx, t.Repo, d); err != nil {
			return err
		}
	}
	content, err := source.Manifest(ctx, d, artifact.MaxIndex)
	if err != nil {
		return err
	}
	r := artifact.Record{State: d, Action: artifact.Promoted, From: source.Name() + "@" + d.Digest, Previous: was.Digest, If: conditions(out.Conditions, *p.soak)}
	if ref := source.Reference(); !artifact.IsDigest(ref) {
		r.From = source.Name() + ":" + ref + "@" + d.Digest
	}
	err = t.Set(ctx, was.Digest, content, r, func(ctx context.Context) error {
		now, err := t.Repo.Resolve(ctx, t.Name)
		if err == nil && now.Digest != d.Digest {
			err = fmt.Errorf("somebody else has changed %s at the same time: it is %s; see plugserverctl fleet history %s, and promote again", out.To, now.Digest, out.To)
		}
		return err
	})
	if errors.Is(err, desired.ErrLost) {
		return fmt.Errorf("%s has changed meanwhile: see plugserverctl fleet history %s, and promote again", out.To, out.To)
	}
	return err
}

// conditions are the words of a record.
func conditions(all []Condition, soak time.Duration) string {
	var lines []string
	for _, c := range all {
		line := c.If + ": " + c.Answer
		if soak > 0 {
			line += fmt.Sprintf(", for %v, asked %d times", soak, c.Asked)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// errMoved says that what is judged is not what is meant any more.
var errMoved = errors.New("has changed meanwhile")

// mostFailures is how often in a row Prometheus, or the registry, may not answer while there is time left.
const mostFailures = 4

// judge asks until all conditions hold, and from then on until the end of the soak whether they still do;
// still says whether what is judged is what is meant. The error is cli.ErrRefused where one
// does not hold, and has been told.
func (p *promotion) judge(ctx context.Context, s *cli.Session, out *Promoted, still func() error) error {
	prometheus, err := promql.New(*p.prometheus)
	if err != nil {
		return err
	}
	for _, condition := range p.ifs {
		out.Conditions = append(out.Conditions, Condition{If: strings.ReplaceAll(condition, "$DIGEST", out.Digest)})
	}
	limit, soaking, failures, told := time.Now().Add(*p.wait), false, 0, ""
	for {
		last := !time.Now().Before(limit)
		not, err := ask(ctx, prometheus, out.Conditions)
		if err == nil {
			err = still()
		}
		failures++
		switch {
		case err != nil && (last || failures == mostFailures || errors.Is(err, errMoved) || errors.Is(err, promql.ErrQuestion) || ctx.Err() != nil):
			return err
		case err != nil:
			fmt.Fprintf(s.Problems, "%s; asking again\n", terminal.Escape(err.Error()))
		case not != "" && (soaking || last):
			fmt.Fprintf(s.Problems, "%s", not)
			return cli.ErrRefused
		case not != "" && told == "":
			told = not
			fmt.Fprintf(s.Problems, "%sasking for %v\n", not, *p.wait)
		case not == "" && soaking && last, not == "" && !soaking && *p.soak == 0:
			return nil
		case not == "" && !soaking:
			limit, soaking = time.Now().Add(*p.soak), true
			fmt.Fprintf(s.Problems, "all conditions hold; asking for %v\n", *p.soak)
		}
		if err == nil {
			failures = 0
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(max(0, time.Until(limit)), *p.every)):
		}
	}
}

// ask asks each condition once, and tells of those that do not hold.
func ask(ctx context.Context, prometheus *promql.Prometheus, conditions []Condition) (not string, err error) {
	for i := range conditions {
		c := &conditions[i]
		answer, err := prometheus.Ask(ctx, c.If)
		if err != nil {
			return "", err
		}
		c.Holds, c.Answer = answer.Holds, answer.Text
		c.Asked++
		if !c.Holds {
			not += fmt.Sprintf("does not hold: %s: %s\n", terminal.Escape(c.If), terminal.Escape(c.Answer))
		}
	}
	return not, nil
}
