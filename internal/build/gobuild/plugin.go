package gobuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// What a folder of source may have at most.
const (
	maxFiles = 20_000
	maxBytes = 512 << 20
)

// Source is a handler's source.
type Source struct {
	Path string // of a .go file, or of a folder with a package main
	// As is what messages call it: "" is the last element of Path.
	As string
	// Skip says what in a folder is not copied, by name; nil: .git. It has to be
	// what whoever watches the folder does not see.
	Skip func(name string, isDir bool) bool
	// InPlace builds the package Package ("" is ".") in the folder Path as the
	// go command would there, and writes nothing to its module. Otherwise a
	// copy is built; what it lacks in its go.mod and go.sum is added to that.
	InPlace bool
	Package string
	// Flags are the caller's own for go build, each with its value. They, and
	// GOFLAGS, win over those that would match the cell.
	Flags []string
}

// BuildPlugin builds the source into the file out, for the cell: by its release
// and with its flags, but for what the caller asks otherwise. Without a cell, the first toolchain builds it plainly.
// out is replaced as a whole, or not touched. progress may be nil. The error is
// a *refusal.Error where the machine or the source is to blame.
func (b *Builder) BuildPlugin(ctx context.Context, src Source, out string, cell *elfplug.Info, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if err := src.resolve(); err != nil {
		return fmt.Errorf("build plugin: %w", err)
	}
	if refused := asRoot(src); refused != nil {
		return refused
	}
	s, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	toolchains, err := b.toolchainsFor(ctx, cell, progress)
	if err != nil {
		return err
	}
	w, err := lay(s, src, toolchains[0].Release)
	if err != nil {
		return err
	}
	mine := own{b.tools.Flags(), src.Flags}
	var env, flags []string
	if cell != nil {
		env, flags = settings(cell)
	}
	flags = slices.Concat(w.flags, mine.beside(flags))
	var differs *refusal.Error
	var tried []string
	for _, t := range toolchains {
		tried = append(tried, t.String())
		err := b.run(ctx, s, toolchain.Job{
			Toolchain: t, Dir: w.dir, Env: slices.Concat(env, w.env, []string{"GOFLAGS=" + mine.goflags}),
			Args: slices.Concat([]string{"build", "-v", "-buildmode=plugin", "-buildvcs=false", "-o", s.out()}, flags, []string{w.pkg}),
			Line: tell(t, progress),
		})
		if f, ok := errors.AsType[*toolchain.Failure](err); ok {
			return w.complain(f.Lines)
		}
		if err != nil {
			return fmt.Errorf("build plugin: %w", err)
		}
		built, err := elfplug.InspectFile(s.out())
		if err != nil {
			return err
		}
		if cell != nil {
			differs = elfplug.Compatible(built, cell)
		}
		if differs != nil && mine.asked(built, cell) {
			differs = nil
		}
		if differs == nil {
			return Place(s.out(), out, 0o644)
		}
	}
	return badbuild.PluginDiffers(differs, tried)
}

// resolve makes the path absolute, and names the source where it has no name.
func (src *Source) resolve() (err error) {
	if src.Path, err = filepath.Abs(src.Path); err == nil && src.As == "" {
		src.As = filepath.Base(src.Path)
	}
	return err
}

// toolchainsFor returns those that may build a plugin for the cell.
func (b *Builder) toolchainsFor(ctx context.Context, cell *elfplug.Info, progress func(string)) ([]toolchain.Toolchain, error) {
	if cell != nil {
		return b.tools.Find(ctx, elfplug.Release(cell.GoVersion), progress)
	}
	all := b.Toolchains(ctx)
	if len(all) == 0 {
		return nil, badbuild.NoToolchain()
	}
	return all[:1], ctx.Err()
}

// A work is source as it is handed to the go command.
type work struct {
	dir, pkg   string
	env, flags []string
	src        Source
	file       bool // the source is one file
}

// lay makes the source ready to be built.
func lay(s *shed, src Source, release string) (*work, error) {
	w := &work{dir: s.src(), pkg: ".", src: src}
	info, err := os.Stat(src.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, badbuild.NoSource(src.As, "it does not exist")
	case err != nil:
		return nil, badbuild.NoSource(src.As, err.Error())
	case src.InPlace:
		w.dir = src.Path
		if src.Package != "" {
			w.pkg = src.Package
		}
		if v, ok := os.LookupEnv("GOWORK"); ok {
			w.env = append(w.env, "GOWORK="+v)
		} else {
			w.env = append(w.env, "GOWORK=")
		}
		return w, nil
	case info.Mode().IsRegular():
		w.file = true
		if !strings.HasSuffix(src.Path, ".go") {
			return nil, badbuild.NoSource(src.As, "its name does not end in .go")
		}
		// In a folder of its name, which the plugin's file names will hold.
		w.dir = filepath.Join(w.dir, moduleElement(src.Path))
		err = copySource(src.Path, filepath.Join(w.dir, filepath.Base(src.Path)))
	case info.IsDir():
		w.dir = filepath.Join(w.dir, moduleElement(src.Path))
		err = copyFolder(src, w.dir)
	default:
		return nil, badbuild.NoSource(src.As, "it is neither a file nor a folder")
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(w.dir, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		mod := fmt.Sprintf("module plugserver.local/%s\n\ngo %s\n", moduleElement(src.Path), strings.TrimPrefix(release, "go"))
		if err := os.WriteFile(filepath.Join(w.dir, "go.mod"), []byte(mod), 0o600); err != nil {
			return nil, fmt.Errorf("lay out source: %w", err)
		}
	}
	w.flags = []string{"-mod=mod"}
	if _, err := os.Stat(filepath.Join(w.dir, "vendor", "modules.txt")); err == nil {
		w.flags = []string{"-mod=vendor"}
	}
	return w, nil
}

// moduleElement is the handler's name as an element of a module path
// (https://go.dev/ref/mod#go-mod-file-ident).
func moduleElement(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".go")
	name = strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z') {
			return r
		}
		return '_'
	}, name)
	name = strings.Trim(name, ".")
	reserved := []string{"con", "prn", "aux", "nul"} // by Windows, and so by Go
	word, _, _ := strings.Cut(strings.ToLower(name), ".")
	if len(word) == 4 && (strings.HasPrefix(word, "com") || strings.HasPrefix(word, "lpt")) || slices.Contains(reserved, word) || word == "" {
		return "_" + name
	}
	return name
}

func (src Source) skips(d fs.DirEntry) bool {
	if src.Skip == nil {
		return d.IsDir() && d.Name() == ".git"
	}
	return src.Skip(d.Name(), d.IsDir())
}

// copyFolder copies the regular files below the source's folder. What version
// control keeps, links and special files are left out.
func copyFolder(src Source, to string) error {
	files, size := 0, int64(0)
	err := filepath.WalkDir(src.Path, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src.Path, path)
		if err != nil {
			return err
		}
		switch {
		case rel != "." && src.skips(d) && d.IsDir():
			return fs.SkipDir
		case rel != "." && src.skips(d):
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if files, size = files+1, size+info.Size(); files > maxFiles || size > maxBytes {
			return badbuild.NoSource(src.As, fmt.Sprintf("it has more than %d files or %d MiB", maxFiles, maxBytes>>20))
		}
		return copySource(path, filepath.Join(to, rel))
	})
	if _, ok := errors.AsType[*refusal.Error](err); err != nil && !ok {
		err = fmt.Errorf("copy source: %w", err)
	}
	return err
}

// copySource copies a regular file. It waits for no writer of a named pipe that
// took the file's place.
func copySource(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("copy source: %w", err)
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("copy source %q: %w", from, cmp.Or(err, errors.New("no regular file")))
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("copy source: %w", err)
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("copy source: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy source: %w", err)
	}
	return nil
}
