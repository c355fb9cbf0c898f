// Package trial proves a handler's file in a throwaway cell, as plugserverd
// would, but without one. Nothing of a trial outlives it: its process group is
// killed, its folder deleted. Nothing of whoever begins it is the file's: it has
// no terminal (proc), none of their environment but what is plain, of root not the
// user either, and it is in a sandbox.
package trial

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/orphans"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
)

const (
	// stopWait bounds the end of a handler that became ready, its Stop
	// included.
	stopWait = 6 * time.Second
	// lateWait bounds the wait for what a dead cell has said: a process that
	// it started may hold its end of the link.
	lateWait = time.Second
)

// Trial says what to try.
type Trial struct {
	File  string        // the handler's; a copy is loaded
	Cell  string        // the cell's binary; a copy is run
	Limit time.Duration // for the handler to become ready
	Env   []string      // names of variables of ours that it gets, besides those in plain
	// Limits bound the handler's patterns; 0 is no bound.
	Limits link.Limits
	// Open has no sandbox around it.
	Open bool
	// GODEBUG is the cell's; "" is as we have it.
	GODEBUG string
}

// Result is what came of a trial.
type Result struct {
	// Refusal is why plugserverd would not serve the file; nil if it would.
	Refusal  *refusal.Error
	Patterns []string      // of a handler that became ready, sorted
	Took     time.Duration // from the start of the cell to the outcome
	User     string        // whom it ran as
	Output   []string      // the last lines that it printed or logged
}

// Run loads the file, waits until its handler is ready, is refused, dies, or
// is at its limit, and ends it. It runs the handler's init, Start, Handler and
// Stop. An error says that there was no trial; it wraps ctx's where that ended.
func (t Trial) Run(ctx context.Context) (Result, error) {
	who, err := runner()
	if err != nil {
		return Result{}, err
	}
	var failed []string
	for _, parent := range folders() {
		s, err := t.stage(parent, who)
		if err == nil {
			defer s.remove()
			var child *proc.Child
			if child, err = t.start(s, who); err == nil {
				return t.prove(ctx, child, s, who)
			}
		}
		if !errors.As(err, new(folderError)) {
			return Result{}, fmt.Errorf("try %q: %w", t.File, err)
		}
		failed = append(failed, err.Error())
	}
	return Result{}, fmt.Errorf("try %q: %s; set TMPDIR to a folder in which %s may run programs", t.File, strings.Join(failed, "; "), who.name)
}

// name is the handler's.
func (t Trial) name() string { return strings.TrimSuffix(filepath.Base(t.File), ".so") }

// rules are those of a trial in dir: it reads the system, but nothing of a packaged daemon, whose user it may
// be, and writes there.
func (t Trial) rules(dir string) *sandbox.Rules {
	return &sandbox.Rules{
		Hide: []string{"/var/lib/plugserver", "/var/cache/plugserver", "/etc/plugserver"}, Read: []string{"-/var/lib/plugserver/handlers"},
		Write: []string{dir}, Open: t.Open,
	}
}

func (t Trial) start(s *stage, who user) (*proc.Child, error) {
	orphans.Begin() // best effort: its process group ends in any case
	child, err := proc.Start(proc.Spec{
		Path: s.cell, Args: []string{t.name()}, Dir: s.dir, Env: t.environ(s.dir), As: who.credential, Sandbox: t.rules(s.dir), Output: func(string, string) {},
	})
	switch {
	case errors.Is(err, syscall.EPERM) && who.credential != nil: // setgroups(2), setuid(2)
		err = fmt.Errorf("root runs no handler, and may not become %s here: %w; run it as another user, or with --no-trial", who.name, err)
	case errors.Is(err, fs.ErrPermission):
		err = folderError{err}
	}
	return child, err
}

// prove opens the file in the child, and ends the child.
func (t Trial) prove(ctx context.Context, child *proc.Child, s *stage, who user) (Result, error) {
	began := time.Now()
	h := &hearing{verdict: make(chan link.Message, 1), over: make(chan struct{})}
	go h.listen(child)
	child.Link.Send(link.Message{Kind: link.Open, Cell: 1, Limits: t.Limits, Plugins: []link.Plugin{{Name: t.name(), Path: s.file}}})
	r, err := t.await(ctx, child, h)
	r.Took, r.User = time.Since(began), who.name

	if err == nil && r.Refusal == nil { // Stop frees what Start took
		child.Link.Send(link.Message{Kind: link.Quit, Grace: time.Second})
		late := time.NewTimer(stopWait)
		select {
		case <-child.Exited():
		case <-ctx.Done():
		case <-late.C:
		}
		late.Stop()
	}
	syscall.Kill(-child.PID, syscall.SIGKILL) // with what it has started
	child.Kill()
	<-child.Exited()
	h.end(child.Link)
	r.Output = child.Tail()
	return r, err
}

// await returns once the outcome is known.
func (t Trial) await(ctx context.Context, child *proc.Child, h *hearing) (r Result, err error) {
	limit := time.NewTimer(t.Limit)
	defer limit.Stop()
	select {
	case m := <-h.verdict:
		r.judge(t.name(), m, t.Limits)
	case <-child.Exited():
		h.end(child.Link)
		select {
		case m := <-h.verdict:
			r.judge(t.name(), m, t.Limits)
		default:
			r.Refusal = refusal.Died(child.Status(), child.Printed())
		}
	case <-limit.C:
		r.Refusal = refusal.Hung(t.Limit, child.Printed())
	case <-ctx.Done():
		return r, fmt.Errorf("try %q: %w", t.File, context.Cause(ctx))
	}
	return r, nil
}

// judge takes what the cell of the handler reports.
func (r *Result) judge(handler string, m link.Message, lim link.Limits) {
	if m.Kind == link.Refused {
		r.Refusal = m.Refusal.Bounded()
		return
	}
	var patterns []string
	for _, p := range m.Plugins {
		patterns = append(patterns, p.Patterns...)
	}
	r.Patterns, r.Refusal = lim.Mux.Offered(handler, patterns, lim.MaxPatterns, lim.MaxPatternBytes)
}

// hearing is what a cell says.
type hearing struct {
	verdict chan link.Message // Ready, or Refused with a refusal; capacity 1
	over    chan struct{}     // closed by listen when it ends
}

// listen ends with the link.
func (h *hearing) listen(child *proc.Child) {
	defer close(h.over)
	for {
		m, err := child.Recv()
		switch {
		case err != nil:
			return
		case m.Kind == link.Ready || m.Kind == link.Refused && m.Refusal != nil:
			select {
			case h.verdict <- m:
			default: // it has said so
			}
		case m.Kind == link.Log:
			if m.Level != "debug" {
				child.Said(m.Bounded().Line())
			}
		}
	}
}

// end hears what a dead cell has said, and closes the link.
func (h *hearing) end(lc *link.Conn) {
	select {
	case <-h.over:
	case <-time.After(lateWait):
	}
	lc.Close()
	<-h.over
}
