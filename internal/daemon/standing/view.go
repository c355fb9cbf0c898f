package standing

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/certs"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/sirupsen/logrus"
)

// View is a daemon as operators see it. Its fields are the owner's, whose goroutine
// calls the methods.
type View struct {
	Daemon   api.Daemon // what does not change
	Roster   *roster.Roster
	Cells    *cells.Cells
	Settings func(handler string) cells.Settings
	Named    map[string]string // that the settings name, with where
	// Canary is how a handler does as a canary, nil where it is none that is judged.
	Canary func(*lifecycle.Handler) *api.Canary
	// Lost is why the directory cannot be read, and Misconfigured why the newest
	// settings are not in force; "" where all is well.
	Lost, Misconfigured string
	// Insecure is what is wrong with the certificates, "" if nothing is.
	Insecure string
	// Unobtained says which certificates do not come by ACME, and why, Awaited which are
	// about to; "" if none.
	Unobtained, Awaited string

	// What served already when it was not to be started any more, by its signature, and why. What
	// is signed anew has another, which was believed.
	distrusted map[string]*refusal.Error

	sum   Report            // of the handlers
	added map[string]Report // by each
}

// Trust takes note of who is trusted from now on.
func (v *View) Trust(p signature.Policy) {
	v.Daemon.Trust, v.distrusted = trust(p), make(map[string]*refusal.Error)
	for _, h := range v.Roster.Handlers {
		if h.Live != nil {
			if why := p.Vouches(h.Live.Version.Signature); why != nil {
				v.distrusted[h.Live.Version.Signature] = why
			}
		}
	}
}

// serveOn says which versions go on serving that would not be started any more, "" if none do.
func (v *View) serveOn() string {
	var all []string
	if len(v.distrusted) == 0 {
		return "" // which is most often, and asked at every turn
	}
	for _, h := range v.Roster.Handlers {
		if h.Live == nil {
			continue
		}
		if why := v.distrusted[h.Live.Version.Signature]; why != nil {
			all = append(all, fmt.Sprintf("version %s of %s goes on serving, and would not be started again: %s", h.Live.Version.Short(), h.Name, why.Reason))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// Note takes in how a handler stands now, for the roster, too. It is called after whatever a
// handler was told, and once the roster has forgotten it.
func (v *View) Note(h *lifecycle.Handler) {
	v.Roster.Note(h)
	if v.added == nil {
		v.added = make(map[string]Report)
	}
	v.sum.add(v.added[h.Name], -1)
	delete(v.added, h.Name)
	if v.Roster.Has(h) {
		n := count(h)
		v.sum.add(n, 1)
		v.added[h.Name] = n
	}
}

// Problem is what ails the daemon as a whole, "" if nothing does.
func (v *View) Problem() string {
	return problem(v.Daemon.Handlers, v.Lost, v.Roster.Orphans(), v.Misconfigured, v.unheeded(), v.serveOn(), v.Insecure, v.Unobtained)
}

// unheeded says which handlers go on with settings of before, and why; "" if none do.
func (v *View) unheeded() string {
	if !v.Roster.Failed() {
		return ""
	}
	var all []string
	for _, h := range v.Roster.Handlers {
		if h.Failure != "" && h.Next == nil && v.Cells.Outdated(h) {
			all = append(all, fmt.Sprintf("new settings of %s are not in force, since a process does not become ready with them: %s", h.Name, h.Failure))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// Secured takes note of the certificates that are in force, and tells of those that are new, and of what is wrong with them.
func (v *View) Secured(f certs.Force, log *logrus.Logger) {
	if f.Problem != v.Insecure && f.Problem != "" {
		log.WithField("reason", f.Problem).Error("certificates are refused: those before stay in force")
	}
	for _, c := range f.Certificates {
		if !slices.ContainsFunc(v.Daemon.Certificates, c.Equal) {
			log.WithFields(logrus.Fields{"file": c.File, "not_after": c.NotAfter}).Infof("certificate of %s is in force", strings.Join(c.Names, ", "))
		}
	}
	v.Insecure, v.Unobtained, v.Awaited, v.Daemon.Certificates = f.Problem, f.Unobtained, f.Awaited, f.Certificates
}

// Notes are what an operator may have meant otherwise; nothing is wrong.
func (v *View) Notes() []string {
	if v.Roster.Snapshot == nil {
		return nil // nobody knows which handlers there are
	}
	all := slices.Concat(notes(v.Named, v.Roster), unbounded(v.Named, v.Roster, v.Settings))
	if v.Awaited != "" {
		all = append(all, "a certificate is being obtained for "+v.Awaited)
	}
	if len(v.Daemon.Unconfined) > 0 {
		all = append(all, "handlers are not confined whole here: not confined are "+strings.Join(v.Daemon.Unconfined, "; "))
	}
	return all
}

// Status is what stands under every name.
func (v *View) Status() api.Status {
	st := api.Status{Daemon: v.Daemon}
	st.Daemon.Problem, st.Daemon.Notes, st.Daemon.Goroutines = v.Problem(), v.Notes(), runtime.NumGoroutine()
	pid, gate := v.Cells.Fleet.GateState()
	st.Daemon.GatePID, st.Daemon.GateGoroutines, st.Daemon.GateConns = pid, gate.Goroutines, gate.Conns
	st.Daemon.Spares = v.Cells.Fleet.Spares().PIDs()
	for _, h := range v.Roster.Handlers {
		st.Handlers = append(st.Handlers, v.Handler(h))
	}
	for _, name := range v.Roster.Seen() {
		st.Handlers = append(st.Handlers, api.Handler{Name: name, State: api.StateSeen, Since: v.Daemon.Since})
	}
	if s := v.Roster.Snapshot; s != nil {
		for _, name := range s.Skipped {
			st.Handlers = append(st.Handlers, v.disabled(name))
		}
	}
	st.Handlers = append(st.Handlers, v.Cells.Retiring()...)
	slices.SortFunc(st.Handlers, func(a, b api.Handler) int { return strings.Compare(a.Name, b.Name) })
	return st
}

func (v *View) disabled(name string) api.Handler {
	return api.Handler{Name: name, State: api.StateDisabled, Since: v.Daemon.Since}
}

// Handler is how a handler stands, with what its process has counted.
func (v *View) Handler(h *lifecycle.Handler) api.Handler {
	a := handler(h)
	limits := v.Settings(h.Name).Limits
	a.MemoryMax, a.LimitNOFILE, a.Doing = limits.Memory, limits.Descriptors, cmp.Or(a.Doing, v.Cells.Apart(h.Name))
	a.CPUQuota, a.TasksMax = float64(limits.CPU)/100, limits.Tasks
	if h.Live != nil {
		cells.Status(h.Live, &a)
	}
	if h.Of != "" && v.Canary != nil {
		a.Canary = v.Canary(h)
	}
	return a
}

// Outcome is what stands under one name.
func (v *View) Outcome(name string) api.Outcome {
	out := api.Outcome{Problem: v.Problem()}
	if h := v.Roster.Handlers[name]; h != nil {
		a := v.Handler(h)
		out.Handler = &a
	} else if s := v.Roster.Snapshot; s != nil && slices.Contains(s.Skipped, name) {
		a := v.disabled(name)
		out.Handler = &a
	}
	return out
}

// Reload is what a reload answers.
func (v *View) Reload() api.Reload {
	re := reload(v.Roster)
	re.Problem, re.Notes = v.Problem(), v.Notes()
	return re
}

// Report says in numbers how all stand.
func (v *View) Report() Report {
	r := v.sum
	r.Ending, r.Problem = v.Cells.Ending(), v.Problem()
	return r
}
