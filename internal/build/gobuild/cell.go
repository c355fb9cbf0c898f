package gobuild

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"os"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/build/cellsource"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// levels are the settings that decide which processors code runs on. They make
// no difference to what a cell loads; a cell has its plugin's all the same.
var levels = []string{"GOAMD64", "GOARM64", "GOARM", "GO386", "GOPPC64", "GORISCV64"}

// BuildCell builds the cell that loads the plugin, by the plugin's release and
// with its flags, and returns its path, "plugserver-cell" in the folder dir.
// progress, which may be nil, gets a few words whenever there is something new
// to tell. The error is a *refusal.Error where the machine or the plugin is to
// blame.
func (b *Builder) BuildCell(ctx context.Context, plugin *elfplug.Info, dir string, progress func(string)) (string, error) {
	if progress == nil {
		progress = func(string) {}
	}
	release := elfplug.Release(plugin.GoVersion)
	if version.IsValid(release) && version.Compare(release, cellsource.OldestGo) < 0 {
		return "", badbuild.TooOld(release, cellsource.OldestGo)
	}
	s, err := b.enter(ctx)
	if err != nil {
		return "", err
	}
	defer s.leave()
	toolchains, err := b.tools.Find(ctx, release, progress)
	if err != nil {
		return "", err
	}
	if err := cellsource.LayOut(s.src(), release); err != nil {
		return "", fmt.Errorf("build cell: %w", err)
	}
	// Most profiles make no difference to the packages that both link.
	profile := plugin.Settings["-pgo"]
	missing := readable(profile)
	env, flags := cellSettings(plugin, missing == nil)
	var differs *refusal.Error
	var tried []string
	for _, t := range toolchains { // one may be patched, or elsewhere
		tried = append(tried, t.String())
		err := b.run(ctx, s, toolchain.Job{
			Toolchain: t, Dir: s.src(), Env: env,
			Args: append(append([]string{"build", "-v", "-buildvcs=false", "-o", s.out()}, flags...), cellsource.Package),
			Line: tell(t, progress),
		})
		if f, ok := errors.AsType[*toolchain.Failure](err); ok {
			return "", badbuild.CellBuild(f.Lines)
		}
		if err != nil {
			return "", fmt.Errorf("build cell: %w", err)
		}
		built, err := elfplug.InspectCell(s.out())
		if err != nil {
			return "", err
		}
		if differs = elfplug.Compatible(plugin, built); differs == nil {
			out := filepath.Join(dir, "plugserver-cell")
			return out, Place(s.out(), out, 0o755)
		}
	}
	if missing != nil {
		return "", badbuild.NoProfile(profile, missing)
	}
	return "", badbuild.CellDiffers(differs, tried)
}

// cellSettings are the environment and the flags of the cell that loads the plugin.
func cellSettings(plugin *elfplug.Info, profile bool) (env, flags []string) {
	env, flags = settings(plugin)
	if !profile {
		flags = append(flags, "-pgo=off")
	}
	for _, name := range levels {
		if v := plugin.Settings[name]; v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env, flags
}

func readable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	return err
}

// settings are the environment and the flags that give a build what decides
// whether plugin and cell fit together.
func settings(info *elfplug.Info) (env, flags []string) {
	profile := "off" // the folder's own default.pgo would give it another std
	for _, s := range info.Decisive() {
		switch {
		case s.Name == "-pgo":
			profile = s.Value
		case strings.HasPrefix(s.Name, "-"):
			flags = append(flags, s.Name+"="+s.Value)
		default:
			env = append(env, s.Name+"="+s.Value)
		}
	}
	return env, append(flags, "-pgo="+profile)
}

// tell words the progress of a build.
func tell(t toolchain.Toolchain, progress func(string)) func(string) {
	n := 0
	return func(line string) {
		switch {
		case strings.Contains(line, " "): // go: downloading x v1
			progress(line)
		case !t.HasPackage(line):
			progress("compiling " + line + " with " + t.Release)
		default:
			n++
			progress(fmt.Sprintf("compiling the standard library with %s, once for its flags: package %d", t.Release, n))
		}
	}
}

// Place copies a file that was built to where it is wanted, whole or not at all.
func Place(from, to string, mode os.FileMode) error {
	if err := place(from, to, mode); err != nil {
		return fmt.Errorf("place %q: %w", to, err)
	}
	return nil
}

func place(from, to string, mode os.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	// A handlers directory takes no notice of such a name.
	f, err := atomicfile.Create(filepath.Dir(to), ".build-", mode)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Fill(context.Background(), src); err != nil {
		return err
	}
	return f.Commit(to)
}
