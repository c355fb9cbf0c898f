package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/elfplug"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/refusal"
	"github.com/andrestc/go-plugserver/internal/store"
	"github.com/andrestc/go-plugserver/internal/toolchain"
	"github.com/sirupsen/logrus"
)

// admission is a file on its way into the store and to the cell that loads it.
type admission struct {
	h      *handler
	file   handlerdir.File
	cancel context.CancelFunc
	long   bool // it builds something, and is waited for by nobody; the loop's own

	// The outcome, which the admission's goroutine leaves to the loop.
	version store.Version
	mixed   bool // see seat
	info    *elfplug.Info
	binary  cells.Cell
	err     error
	celled  bool // err is for want of a cell
}

// admit begins the admission of a file. One of the handler that is under way is
// not waited for.
func (s *Supervisor) admit(h *handler, f handlerdir.File) {
	h.abandon()
	ctx, cancel := context.WithCancel(context.Background())
	a := &admission{h: h, file: f, cancel: cancel}
	h.file, h.tried, h.admission = filepath.Base(f.Path), f.ID, a
	s.admitting++
	go func() {
		a.err = s.bringIn(ctx, a)
		s.post(func() { s.admitted(a) })
	}()
}

// abandon ends the admission that is under way; its outcome counts for nothing.
func (h *handler) abandon() {
	if h.admission != nil {
		h.admission.cancel()
		h.admission, h.doing = nil, ""
	}
}

// bringIn copies a file into the store, or compiles it, inspects the copy, and
// finds the cell that loads it.
func (s *Supervisor) bringIn(ctx context.Context, a *admission) error {
	take := s.copyIn
	if a.file.Kind != handlerdir.Plugin {
		take = s.compile
	}
	if err := take(ctx, a); err != nil {
		return err
	}
	cell, refused := s.cfg.Cells.Choose(a.info)
	if refused != nil {
		var err error
		if cell, err = s.buildCell(ctx, a, refused); err != nil {
			a.celled = true
			return err
		}
	}
	a.binary = cell
	return nil
}

func (s *Supervisor) copyIn(_ context.Context, a *admission) error {
	s.admits <- struct{}{}
	defer func() { <-s.admits }()
	src, err := handlerdir.Open(a.file)
	if err != nil {
		return err
	}
	defer src.Close()
	if a.version, err = s.store.Put(src, s.cfg.MaxSize); err != nil {
		return err
	}
	if same, err := handlerdir.Unchanged(src, a.file.ID); err != nil || !same {
		return errors.Join(handlerdir.ErrChanged, err)
	}
	if a.file.Over {
		whole, err := elfplug.WholeFile(a.version.Path)
		if err != nil {
			return err
		}
		a.mixed = !whole
	}
	return a.inspect()
}

// compile builds a file or folder of source into the store.
func (s *Supervisor) compile(ctx context.Context, a *admission) error {
	switch {
	case !s.cfg.BuildSource:
		return refusal.SourceOff(a.file.Path)
	case os.Geteuid() == 0:
		return refusal.SourceAsRoot(a.file.Path)
	}
	s.long(a, "compiling "+filepath.Base(a.file.Path))
	dir, err := s.scratch()
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, a.file.Name+".so")
	builder := s.builder.Load()
	if err := builder.BuildPlugin(ctx, toolchain.Source{Path: a.file.Content(), As: filepath.Base(a.file.Path), Skip: handlerdir.Ignored}, out, s.buildFor(ctx, builder), nil); err != nil {
		return err
	}
	if same, err := handlerdir.Same(a.file, s.rules); err != nil || !same {
		return errors.Join(handlerdir.ErrChanged, err)
	}
	src, err := os.Open(out)
	if err != nil {
		return err
	}
	defer src.Close()
	if a.version, err = s.store.Put(src, s.cfg.MaxSize); err != nil {
		return err
	}
	return a.inspect()
}

// scratch returns a new folder, for the caller to delete.
func (s *Supervisor) scratch() (string, error) {
	if err := os.MkdirAll(s.cfg.Scratch, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(s.cfg.Scratch, "built-")
}

// buildFor is the cell that source is built for: the main one, where there is
// its Go release. Else it is built as it comes, and a cell to match it.
func (s *Supervisor) buildFor(ctx context.Context, b *toolchain.Builder) *elfplug.Info {
	main, ok := s.cfg.Cells.Main()
	if !ok {
		return nil
	}
	release := elfplug.Release(main.Info.GoVersion)
	there := b.Toolchains(ctx)
	if s.cfg.BuildCells && len(there) > 0 && !hasRelease(there, release) {
		return nil
	}
	return main.Info
}

func hasRelease(toolchains []toolchain.Toolchain, release string) bool {
	return slices.ContainsFunc(toolchains, func(t toolchain.Toolchain) bool { return t.Release == release })
}

// buildCell builds the cell that loads the plugin, and adds it to the others.
// If it cannot be built, the plugin stays refused.
func (s *Supervisor) buildCell(ctx context.Context, a *admission, refused *refusal.Error) (cells.Cell, error) {
	builder := s.builder.Load()
	there, release := builder.Toolchains(ctx), elfplug.Release(a.info.GoVersion)
	here := hasRelease(there, release)
	switch {
	case !s.cfg.BuildCells && here:
		return cells.Cell{}, refusal.CellFirst(refused)
	case !s.cfg.BuildCells, len(there) == 0:
		return cells.Cell{}, refused
	}
	s.long(a, "building a cell for "+release)
	select {
	case s.builds <- struct{}{}:
		defer func() { <-s.builds }()
	case <-ctx.Done():
		return cells.Cell{}, ctx.Err()
	}
	if cell, refused := s.cfg.Cells.Choose(a.info); refused == nil {
		return cell, nil // built meanwhile, for another
	}
	dir, err := s.scratch()
	if err != nil {
		return cells.Cell{}, fmt.Errorf("build a cell: %w", err)
	}
	defer os.RemoveAll(dir)
	path, err := builder.BuildCell(ctx, a.info, dir, nil)
	if ctx.Err() != nil {
		return cells.Cell{}, ctx.Err()
	}
	if err == nil {
		_, err = s.cfg.Cells.Add(path, true)
	}
	if err != nil {
		return cells.Cell{}, refusal.NoMatch(refused, refusal.From(err), here)
	}
	cell, refused := s.cfg.Cells.Choose(a.info)
	if refused != nil {
		return cells.Cell{}, refused
	}
	s.log.WithFields(logrus.Fields{"handler": a.file.Name, "cell": cell.Name}).Info("built a cell: " + cell.Name)
	return cell, nil
}

// long tells the loop that an admission takes longer than a moment, and with
// what. Meanwhile what served before serves, after a start of the daemon too.
func (s *Supervisor) long(a *admission, doing string) {
	s.post(func() {
		if !a.long {
			a.long = true
			s.admitting--
			s.building++
		}
		if h := a.h; h.admission == a {
			h.doing = doing
			s.log.WithField("handler", h.name).Info(doing)
			if h.live == nil && h.next == nil {
				s.fallBack(h)
			}
		}
	})
}

func (a *admission) inspect() (err error) {
	if a.info, err = elfplug.InspectFile(a.version.Path); err != nil {
		return err
	}
	if r := a.info.Contract(); r != nil {
		return r
	}
	return nil
}

// admitted begins to prove an admitted version.
func (s *Supervisor) admitted(a *admission) {
	h, v := a.h, a.version
	a.cancel()
	if a.long {
		s.building--
	} else {
		s.admitting--
	}
	s.garbage = true
	if h.admission != a || s.stopping {
		return // the file has changed or gone meanwhile
	}
	h.admission, h.doing = nil, ""
	switch {
	case errors.Is(a.err, handlerdir.ErrChanged):
		h.tried = handlerdir.ID{}
		s.scan()
	case v.Sum != "" && !s.asked(h, a) && s.givenUp(h, v.Sum):
		s.staysGivenUp(h, v)
	case a.err != nil:
		r := notServed(a.err)
		h.atStart = h.atStart && r.passing // what it was is known
		r.celled = a.celled
		s.refuse(h, r)
	case h.live != nil && h.live.version.Sum == v.Sum:
		// The live version again: touched, or copied back.
		s.dropNext(h)
		h.refusal = nil
		h.rolledBack = false
		if h.quarantined {
			h.quarantined = false
			s.alter() // its requests wait again
		}
		s.undecided(h)
	default:
		s.dropNext(h)
		h.next = s.newSeat(h, v)
		h.next.info, h.next.binary = a.info, a.binary
		h.next.mixed = a.mixed
		s.enqueue(h.next.cell)
	}
}
