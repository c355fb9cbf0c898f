package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

// hall is a daemon that takes its directory at its word: what is there is
// live. Some names have a fate of their own.
type hall struct {
	dir   string
	asked chan struct{} // a status was asked for; capacity 1
	cells bool          // it builds cells

	promoted atomic.Bool // the canary of users was
}

func (h *hall) Status(context.Context) (api.Status, error) {
	select {
	case h.asked <- struct{}{}:
	default:
	}
	st := api.Status{Daemon: api.Daemon{Handlers: h.dir, BuildsCells: h.cells}, Handlers: []api.Handler{
		{Name: "slow", State: api.StateStarting, Doing: "building a cell for go1.25.4\x1b[2J"},
	}}
	if h.promoted.Load() {
		content, err := os.ReadFile(filepath.Join(h.dir, "users.canary.so"))
		if err != nil { // it has the handler's name
			content, _ = os.ReadFile(filepath.Join(h.dir, "users.so"))
		}
		st.Handlers = append(st.Handlers, api.Handler{Name: "users", State: api.StateLive, Version: versionOf(content)})
	}
	return st, nil
}

// versionOf is that of a file with some content.
func versionOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:12]
}

// Reload lasts until its user has looked what is being done.
func (h *hall) Reload(ctx context.Context) (api.Reload, error) {
	select {
	case <-h.asked:
	case <-ctx.Done():
	}
	return api.Reload{}, nil
}

func (h *hall) Release(ctx context.Context, _ string) (api.Reload, error) { return h.Reload(ctx) }

func (h *hall) Settle(ctx context.Context, name string) (api.Outcome, error) {
	content, err := os.ReadFile(filepath.Join(h.dir, name+".so"))
	if errors.Is(err, fs.ErrNotExist) && name != "stays" {
		return api.Outcome{}, nil
	}
	out := api.Handler{Name: name, State: api.StateLive, Version: versionOf(content), Patterns: []string{"/" + name, "GET /x"}}
	switch name {
	case "squatter":
		out.State, out.Version, out.Patterns, out.Refusal = api.StateRefused, "", nil, &taken
	case "ailing":
		out.Version, out.Refusal = "ba9876543210", &taken
	case "crashing":
		out.State = api.StateCrashed
	case "outrun":
		out.Version = "ba9876543210"
	case "slow": // until its user has looked once more
		<-h.asked
		select {
		case <-h.asked:
		case <-ctx.Done():
		}
	case "stuck":
		if err := os.WriteFile(filepath.Join(h.dir, "waiting"), nil, 0o600); err != nil {
			return api.Outcome{}, err
		}
		<-ctx.Done()
		return api.Outcome{}, ctx.Err()
	case "odd":
		return api.Outcome{Handler: &out, Problem: "no inotify:\nonly the poll looks"}, nil
	}
	return api.Outcome{Handler: &out}, nil
}

func (h *hall) History(_ context.Context, name string) (api.History, error) {
	past := api.History{Name: name}
	now := time.Now()
	switch name {
	case "users":
		past.Versions = []api.Past{
			{Version: "0123456789ab", Live: now.Add(-90 * time.Minute), Bad: true},
			{Version: "ba9876543210", Live: now.Add(-50 * time.Hour), Current: true},
			{Version: "new\x1b[2J"},
		}
	case "new":
	default:
		return past, fmt.Errorf("there is no handler %q; see plugserverctl status", name)
	}
	return past, nil
}

// Canary is asked of one of users alone.
func (h *hall) Canary(_ context.Context, name, verb, terms string) (api.Outcome, error) {
	if name != "users" {
		return api.Outcome{}, fmt.Errorf("%q has no canary that serves", name)
	}
	h.promoted.Store(verb == canary.Promote)
	t, err := canary.Decode(terms)
	t = t.InForce()
	return api.Outcome{Handler: &api.Handler{Name: "users.canary", State: api.StateCanary, Version: "0123456789ab", Canary: &api.Canary{
		Of: name, Incumbent: "ba9876543210", Weight: float64(t.Weight) / link.Whole, Mirror: float64(t.Mirror) / link.Whole, Sticky: string(t.Sticky), Field: t.Field,
		Ends: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotServed: []string{"/new"}, Counted: api.Figures{Requests: 20, Errors: 1, P50: 0.005, P99: 0.025}, Beside: api.Figures{},
	}}}, err
}

func (h *hall) Restart(_ context.Context, name string) (api.Outcome, error) {
	if name != "users" {
		return api.Outcome{}, fmt.Errorf("restart: %q does not serve; see plugserverctl status %s", name, name)
	}
	return api.Outcome{Handler: &api.Handler{Name: name, State: api.StateLive, Version: "ba9876543210", PID: 7, Patterns: []string{"/users"}}}, nil
}

func (h *hall) Enable(_ context.Context, name string) (api.Outcome, error) {
	if name == "set" {
		return api.Outcome{}, errors.New(`enable: "set" is disabled by the settings, in f:3: take that line away, and reload`)
	}
	return api.Outcome{Handler: &api.Handler{Name: name, State: api.StateLive, Version: "ba9876543210", Patterns: []string{"/users"}}}, nil
}

func (h *hall) Disable(_ context.Context, name string) (api.Outcome, error) {
	if name == "nobody" {
		return api.Outcome{}, nil
	}
	return api.Outcome{Handler: &api.Handler{Name: name, State: api.StateDisabled}}, nil
}

func (h *hall) Show(_ context.Context, name string) (api.Shown, error) {
	return api.Shown{Name: name, Settings: []api.Setting{
		{Key: "Environment", Value: "A=\x1b[2J", Where: "/etc/plugserver/plugserverd.conf:3"}, {Key: "MemoryMax", Value: "infinity", Where: "default"},
	}}, nil
}

func (h *hall) Metrics(context.Context) (api.Metrics, error) {
	return api.Metrics{Text: "# TYPE plugserver_up gauge\nplugserver_up 1\n"}, nil
}

// happened are the events that a hall remembers; more do not happen.
var happened = []api.Event{
	{Seq: 1, Event: "live", Handler: "users", Level: "info", Text: "live: users", Fields: map[string]string{"version": "0123456789ab"}},
	{Seq: 2, Event: "refused", Handler: "bye", Level: "warning", Text: "refused: bye.so", Fields: map[string]string{"reason": "it\x1b[2J is no plugin", "mend": "build it with -buildmode=plugin"}},
}

func (h *hall) Events(_ context.Context, since uint64, wait bool) (api.Events, error) {
	switch {
	case !wait:
		return api.Events{Events: happened}, nil
	case since == 2:
		e := happened[0]
		e.Seq = 3
		return api.Events{Events: []api.Event{e}}, nil
	}
	return api.Events{}, errors.New("plugserverd is stopping")
}

func (h *hall) Rollback(_ context.Context, name, version string) (api.Outcome, error) {
	switch {
	case name != "users":
		return api.Outcome{}, fmt.Errorf("roll back: %q has no earlier version", name)
	case version == "":
		version = "ba9876543210"
	}
	return api.Outcome{Handler: &api.Handler{Name: name, State: api.StateRolledBack, Version: version, Patterns: []string{"/users"}}}, nil
}
