package syncing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
	"github.com/andrestc/go-plugserver/internal/operator/deploy"
	"github.com/andrestc/go-plugserver/internal/operator/report"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Told is what sync prints with --json: fields are added in later versions, never renamed.
type Told struct {
	Sync   string `json:"sync"` // the name of the entry
	Ref    string `json:"ref"`
	Digest string `json:"digest"` // that it names
	OK     bool   `json:"ok"`     // what serves is as it says
	DryRun bool   `json:"dry_run,omitempty"`
	// Handlers are those that it names for this machine, and Changes what was done, or would be.
	Handlers int                    `json:"handlers"`
	Changes  []Change               `json:"changes"`
	Refused  map[string]api.Refusal `json:"refused"`
	// PutBack are the handlers that are as they were before, since one was refused.
	PutBack []string `json:"put_back,omitempty"`
	// Theirs would be, had not somebody else put another file there meanwhile.
	Theirs   []string `json:"theirs,omitempty"`
	Disabled []string `json:"disabled,omitempty"` // handlers that an operator has disabled
	// Judged are handlers whose newer version is a canary: there is no agreement before it is promoted.
	Judged []string `json:"judged,omitempty"`
	Bytes  int64    `json:"bytes_pulled"`

	Live  []api.Handler             `json:"-"`
	done  bool                      // all changes were made, and stay
	notes map[string]synced.Refused // what the record is to say of Refused
}

// Change is one of a handler's.
type Change struct {
	Handler string `json:"handler"`
	Change  string `json:"change"`         // "place", "remove", "adopt" or "forget"
	From    string `json:"from,omitempty"` // the version of the file that was there
	To      string `json:"to,omitempty"`
}

// refuse notes that a handler was refused. tried says that the daemon has.
func (r *run) refuse(handler, file string, why api.Refusal, tried bool) {
	if r.out.Refused == nil {
		r.out.Refused, r.out.notes = make(map[string]api.Refusal), make(map[string]synced.Refused)
	}
	r.out.Refused[handler] = why
	r.out.notes[handler] = synced.Refused{File: file, Reason: why.Reason, Mend: why.Mend, Or: why.Or, Time: r.began.UTC().Round(0), Tried: tried}
}

// putBack has a handler's refusal, if it has one, say what to do where its file was put back.
func (r *run) putBack(handler string) {
	if why, ok := r.out.Refused[handler]; ok {
		r.refuse(handler, r.out.notes[handler].File, *report.TakenAway(why, "sync again"), r.out.notes[handler].Tried)
	}
}

// remember has the record say how the sync ended.
func (r *run) remember(err error) {
	r.record.Problem = ""
	switch {
	case err == nil && len(r.out.Judged) > 0:
		r.record.Problem, r.record.Refused = "judged as a canary: "+strings.Join(r.out.Judged, ", "), nil
		return
	case err == nil:
		r.record.Agreed, r.record.AgreedDigest, r.record.Refused = r.began.UTC().Round(0), r.record.Digest, nil
		return
	case errors.Is(err, cli.ErrRefused):
		for handler, now := range r.out.notes {
			if was := r.record.Refused[handler]; was.Tried && !now.Tried && was.File == now.File {
				r.out.notes[handler] = was // it was not tried again
			}
		}
		r.record.Refused = r.out.notes
		r.record.Refusals += int64(len(r.out.notes))
	default:
		r.record.Problem = strings.Join(strings.Fields(err.Error()), " ")
	}
	r.record.Failures++
}

// tell tells what came of it, and returns ErrRefused where something was refused.
func (r *run) tell() error {
	o := &r.out
	o.Sync, o.Ref, o.DryRun, o.Handlers, o.Changes = r.o.Name, r.o.Ref, r.o.DryRun, len(r.record.Desired), []Change{}
	stopped := len(o.Refused) > 0 && !r.o.Partial && !o.done
	for _, a := range r.all {
		if a.Kind != syncplan.Keep && a.Kind != syncplan.Refuse && (o.DryRun || !stopped) && !slices.Contains(slices.Concat(o.PutBack, o.Theirs), a.Handler) {
			o.Changes = append(o.Changes, Change{a.Handler, string(a.Kind), artifact.Short(a.Was), a.Want.File.Version()})
		}
	}
	o.OK = len(o.Refused) == 0 && len(o.Judged) == 0 && (!o.DryRun || len(o.Changes) == 0)
	if o.Refused == nil {
		o.Refused = map[string]api.Refusal{}
	}
	if r.s.JSON {
		r.s.Tell(o, "")
	} else {
		r.words()
	}
	for _, name := range slices.Sorted(maps.Keys(o.Refused)) {
		report.Refusal(r.s.Problems, name, o.Refused[name])
	}
	if len(o.Refused) == 0 {
		return nil
	}
	if len(o.Theirs) > 0 {
		fmt.Fprintf(r.s.Problems, "left, for somebody else has changed it meanwhile: %s\n", terminal.Escape(strings.Join(o.Theirs, ", ")))
	}
	switch {
	case o.DryRun, len(o.Theirs) > 0 && len(o.PutBack) == 0:
	case len(o.PutBack) > 0:
		fmt.Fprintf(r.s.Problems, "put back as it was before: %s\n", terminal.Escape(strings.Join(o.PutBack, ", ")))
	case len(o.Changes) == 0:
		fmt.Fprintf(r.s.Problems, "nothing was changed\n")
	}
	return cli.ErrRefused
}

// words tells it in sentences. A timer's run that has changed nothing tells nothing.
func (r *run) words() {
	o := &r.out
	if r.o.Every > 0 && len(o.Changes) == 0 {
		return
	}
	done := map[string]string{"place": "placed", "remove": "removed", "adopt": "was there already", "forget": "left, for it is not the registry's"}
	if o.DryRun {
		done = map[string]string{"place": "to be placed", "remove": "to be removed", "adopt": "is there already", "forget": "to be left, for it is not the registry's"}
	}
	for _, c := range o.Changes {
		text := done[c.Change]
		switch {
		case c.To != "" && c.From != "" && c.From != c.To:
			text += ": " + c.To + " in the place of " + c.From
		case c.To != "":
			text += ": " + c.To
		case c.From != "":
			text += ": " + c.From
		}
		fmt.Fprintf(r.s.Out, "%s %s\n", terminal.Escape(c.Handler), terminal.Escape(text))
	}
	for _, h := range o.Live {
		if !slices.Contains(slices.Concat(o.PutBack, o.Theirs), h.Name) {
			fmt.Fprintf(r.s.Out, "live: %s\n", terminal.Escape(deploy.Serves(&h)))
		}
	}
	for _, name := range o.Disabled {
		fmt.Fprintf(r.s.Out, "%s is disabled here: plugserverctl enable %s\n", terminal.Escape(name), terminal.Escape(name))
	}
	for _, name := range o.Judged {
		fmt.Fprintf(r.s.Out, "%s is judged as a canary, and takes the place of what served once it is promoted: plugserverctl status\n", terminal.Escape(name))
	}
	if len(o.Refused) > 0 || len(o.Judged) > 0 || o.DryRun && len(o.Changes) > 0 {
		return
	}
	pulled := ""
	if o.Bytes > 0 {
		pulled = ", " + terminal.Size(o.Bytes) + " pulled"
	}
	fmt.Fprintf(r.s.Out, "in agreement: %s, %s, with %s (%v%s)\n", terminal.Escape(r.o.Ref), terminal.Escape(artifact.Short(o.Digest)),
		report.Handlers(o.Handlers), time.Since(r.began).Round(time.Millisecond), pulled)
}
