// Package terms is on what terms a handler runs: what an operator has set for it, and
// what that comes to for those who share a process. It is pure.
package terms

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
)

// Terms are one handler's.
type Terms struct {
	Limits fleet.Limits
	Log    fleet.LogRate
	Group  string      // handlers of one group share a cell; "" for none
	Env    []string    // the environment
	Bounds link.Bounds // on its requests
	// Sandbox is around its process; nil is none.
	Sandbox *sandbox.Rules
	// DrainTimeout is for requests to end when their cell does, but for the service's end;
	// 0 is as usual.
	DrainTimeout time.Duration
	Hold         time.Duration // for its requests to be held; 0 is as usual, below it not at all
	Belongings   belongings.Belongings
	Apart        proc.Apart // where it runs in a unit of its own; zero is as a child of ours
	Unheeded     []Unheeded
	Canary       canary.Terms // of its canary
}

// Unheeded is a setting that is not in force, and why.
type Unheeded struct{ Key, Why string }

// Outdate reports whether what was started on the terms t has to be started anew on now.
func (t Terms) Outdate(now Terms) bool {
	return t.Limits != now.Limits || t.Bounds != now.Bounds || !slices.Equal(t.Env, now.Env) || !t.Sandbox.Equal(now.Sandbox) ||
		!t.Belongings.Equal(now.Belongings) || t.Apart != now.Apart
}

// Agree says why two cannot share a process.
func (t Terms) Agree(o Terms) error {
	if t.Apart != o.Apart {
		return errors.New("each has another Isolation=, and a process is in one unit; set the same for all of its Cell=, or take Cell= away")
	}
	if t.Belongings.Equal(o.Belongings) {
		return nil
	}
	return errors.New("LoadCredential=, SetCredential=, StateDirectory= or WorkingDirectory= is another, and a process has one of each; set the same for all of its Cell=, or take Cell= away")
}

// Together are those of a process that several share; the bounds on requests stay each one's
// own. They may use what each may, where one has no limit they have none, their sandbox is as wide as all of theirs, and the longest time
// to drain is theirs. They have the environment of all: of what two of them set, the later's
// holds. usual is how long draining takes where nothing is set.
func Together(all []Terms, usual time.Duration) (t Terms) {
	at := make(map[string]int)
	for i, one := range all {
		if one.DrainTimeout == 0 {
			one.DrainTimeout = usual
		}
		if i == 0 {
			t.Limits, t.Log, t.Sandbox = one.Limits, one.Log, one.Sandbox
			t.Belongings, t.Apart = one.Belongings, one.Apart // all agree on them
		} else {
			t.Limits, t.Log, t.Sandbox = t.Limits.And(one.Limits), t.Log.And(one.Log), t.Sandbox.And(one.Sandbox)
		}
		t.DrainTimeout = max(t.DrainTimeout, one.DrainTimeout)
		for _, kv := range one.Env {
			name, _, _ := strings.Cut(kv, "=")
			if i, ok := at[name]; ok {
				t.Env[i] = kv
				continue
			}
			at[name] = len(t.Env)
			t.Env = append(t.Env, kv)
		}
	}
	return t
}

// Title is what ps(1) shows of a process that handlers share: its name and theirs, as many as fit.
func Title(name string, handlers []string) string {
	title := name + ":"
	for _, h := range handlers {
		if title += " " + h; len(title) > titleMax {
			return title[:titleMax] + "..."
		}
	}
	return title
}

const titleMax = 400 // bytes
