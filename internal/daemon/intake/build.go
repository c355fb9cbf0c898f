package intake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"github.com/sirupsen/logrus"
)

// compile builds a file or folder of source into the store.
func (w *work) compile(ctx context.Context) (v store.Version, err error) {
	switch {
	case !w.cfg.BuildSource:
		return v, badfile.SourceOff(w.file.Path)
	case w.Policy().Require:
		return v, badfile.UnsignedSource()
	case os.Geteuid() == 0:
		return v, badfile.SourceAsRoot(w.file.Path)
	}
	w.Long("compiling " + filepath.Base(w.file.Path))
	dir, err := w.scratch()
	if err != nil {
		return v, fmt.Errorf("compile: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, w.file.Name+".so")
	builder := w.builder.Load()
	src := gobuild.Source{Path: w.file.Content(), As: filepath.Base(w.file.Path), Skip: sourcedir.Ignored}
	began := time.Now()
	err = builder.BuildPlugin(ctx, src, out, w.buildFor(ctx, builder), nil)
	w.built(ctx, "plugin", began, err)
	if err != nil {
		return v, err
	}
	if same, err := handlerdir.Same(w.file, w.cfg.rules()); err != nil || !same {
		return v, changed(err)
	}
	return w.disk.Put(out)
}

// built tells of a build that has ended, unless nobody wanted it any more.
func (w *work) built(ctx context.Context, what string, began time.Time, err error) {
	if w.cfg.Built != nil && ctx.Err() == nil {
		w.cfg.Built(what, time.Since(began), err)
	}
}

// buildFor is the cell that source is built for; nil for one that it is built plainly
// without, and a cell to match it.
func (w *work) buildFor(ctx context.Context, b *gobuild.Builder) *elfplug.Info {
	binary, ok := w.cfg.Cells.BuildFor(toolchain.Releases(b.Toolchains(ctx)), w.cfg.BuildCells)
	if !ok {
		return nil
	}
	return binary.Info
}

// buildCell builds the cell that loads the plugin, and adds it to the others.
// If it cannot be built, the plugin stays refused.
func (w *work) buildCell(ctx context.Context, refused *refusal.Error) error {
	builder := w.builder.Load()
	there, release := builder.Toolchains(ctx), elfplug.Release(w.Info.GoVersion)
	here := slices.Contains(toolchain.Releases(there), release)
	switch {
	case !w.cfg.BuildCells && here:
		return badbuild.CellFirst(refused)
	case !w.cfg.BuildCells, len(there) == 0:
		return refused
	}
	w.Long("building a cell for " + release)
	select {
	case w.builds <- struct{}{}:
		defer func() { <-w.builds }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, refused := w.disk.Choose(w.Info); refused == nil {
		return nil // built meanwhile, for another
	}
	dir, err := w.scratch()
	if err != nil {
		return fmt.Errorf("build a cell: %w", err)
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	path, err := builder.BuildCell(ctx, w.Info, dir, nil)
	w.built(ctx, "cell", began, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		_, err = w.cfg.Cells.Add(path, true)
	}
	if err != nil {
		return badbuild.NoMatch(refused, refusal.From(err), here)
	}
	cell, refused := w.disk.Choose(w.Info)
	if refused != nil {
		return refused
	}
	w.cfg.Log.WithFields(logrus.Fields{"handler": w.file.Name, "cell": cell.Name}).Info("built a cell: " + cell.Name)
	return nil
}
