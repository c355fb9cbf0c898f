// Package catalogue is the catalogue of the cell binaries on this machine: which
// there are, and which of them loads a plugin. It judges files and runs none.
//
// A cell that is ever chosen is a regular file that nobody but root and the
// daemon's user can write, and speaks link.Protocol.
package catalogue

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// Config says where cells are. A place that does not exist holds none.
type Config struct {
	Packaged string // the one cell that the product was installed with: a file
	Shared   string // the folder of the cells of further packages
	Own      string // the folder of the cells that were built or added here
	UID      uint32 // the daemon's user, who owns Own
	Source   string // cellsource.Digest(): what a cell that is built now is built from
}

// Origin is the place that a cell is from.
type Origin string

const (
	Packaged Origin = "packaged"
	Shared   Origin = "shared"
	Own      Origin = "own"
)

// Binary is one file in one of the places.
type Binary struct {
	Name     string // of the file
	Path     string
	Origin   Origin
	Size     int64 // bytes
	Modified time.Time
	// Auto says that the daemon put it there by itself, and deletes it once no
	// handler needs it (Catalogue.Keep).
	Auto bool
	// Info is what the binary says of itself; nil for a file that is no cell.
	Info *elfplug.Info
	// Ignored is why it is never chosen; nil for a usable one.
	Ignored *refusal.Error
}

// Catalogue is what there is in the places. Its methods may be called from any
// goroutine.
type Catalogue struct {
	cfg Config

	mu         sync.Mutex // guards the rest
	known      map[string]known
	generation uint64
	adopted    string // the name of the packaged cell's copy
}

// known is what was found out about a file, as long as it has the identity.
type known struct {
	id      identity
	cell    Binary
	genuine bool // its content is that of its name
}

type identity struct {
	dev, ino, size, mtime, ctime uint64
	mode, uid, gid               uint32
}

// New returns the catalogue of the places.
func New(cfg Config) *Catalogue {
	return &Catalogue{cfg: cfg, known: make(map[string]known)}
}

// List returns every file in the places, the packaged cell first, then by
// name. It looks at the places anew.
func (c *Catalogue) List() []Binary {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look()
}

// Generation returns a number that changes whenever the files in the places
// do: who was refused for want of a cell may try again. It looks anew.
func (c *Catalogue) Generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	return c.generation
}

// Usable returns nil if there is a cell at all, and else why there is none.
func (c *Catalogue) Usable() error {
	err := error(badbuild.NoCell(c.cfg.Packaged, c.cfg.Shared, c.cfg.Own))
	for _, k := range c.List() {
		if k.Ignored == nil {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("cell %q: %w", k.Path, k.Ignored))
	}
	return err
}

// Main returns the cell that a plugin is best built for: the packaged one, or
// else the newest. It reports false where there is none.
func (c *Catalogue) Main() (Binary, bool) {
	return c.main(c.List())
}

func (c *Catalogue) main(all []Binary) (Binary, bool) {
	var main *Binary
	for i := range all {
		if k := &all[i]; k.Ignored == nil && (main == nil || c.better(k, main)) {
			main = k
		}
	}
	if main == nil {
		return Binary{}, false
	}
	return *main, true
}

// BuildFor returns the cell that source is built for, by whoever builds it, so that the
// same source is the same plugin: the best of those for whose Go release there is a
// toolchain. releases are those that there are. Where there is none of those the
// best of all is returned, unless a cell can be built for whatever comes. It
// reports false for source that is to be built plainly.
func (c *Catalogue) BuildFor(releases []string, canBuildCells bool) (Binary, bool) {
	return c.buildFor(c.List(), releases, canBuildCells)
}

func (c *Catalogue) buildFor(all []Binary, releases []string, canBuildCells bool) (Binary, bool) {
	var best *Binary
	for i := range all {
		k := &all[i]
		if k.Ignored == nil && slices.Contains(releases, elfplug.Release(k.Info.GoVersion)) && (best == nil || c.better(k, best)) {
			best = k
		}
	}
	switch {
	case best != nil:
		return *best, true
	case canBuildCells && len(releases) > 0:
		return Binary{}, false
	}
	return c.main(all)
}

// Choose returns the cell that loads the plugin: the packaged one where it
// does, or else one built from the source of today, or the newest. If none
// does, it returns the cell for which the least of the plugin's build has to
// change, and its refusal; the zero Binary if there is none at all.
//
// One of our own is what it was when it was added: its name has the digest, and it is compared
// before it is first returned, and whenever the file has changed.
func (c *Catalogue) Choose(p *elfplug.Info) (Binary, *refusal.Error) {
	for {
		k, refused := c.choose(p, c.List())
		if refused != nil || c.genuine(k) {
			return k, refused
		}
	}
}

func (c *Catalogue) choose(p *elfplug.Info, cells []Binary) (Binary, *refusal.Error) {
	var best, near *Binary
	var refused *refusal.Error
	for i := range cells {
		k := &cells[i]
		if k.Ignored != nil {
			continue
		}
		r := elfplug.Compatible(p, k.Info)
		switch {
		case r == nil && (best == nil || c.better(k, best)):
			best = k
		case r != nil && (near == nil || elfplug.Distance(p, k.Info) < elfplug.Distance(p, near.Info)):
			near, refused = k, r
		}
	}
	switch {
	case best != nil:
		return *best, nil
	case near == nil:
		return Binary{}, badbuild.NoCell(c.cfg.Packaged, c.cfg.Shared, c.cfg.Own)
	case elfplug.Distance(p, near.Info) == 0:
		return *near, refused // no other cell would do, such as for a want of the processor
	}
	return *near, badbuild.OrCell(refused)
}

// better reports whether a is to be preferred to b.
func (c *Catalogue) better(a, b *Binary) bool {
	for _, better := range []func(*Binary) bool{
		func(k *Binary) bool { return k.Origin == Packaged },
		func(k *Binary) bool { return k.Info.Source == c.cfg.Source },
	} {
		if x, y := better(a), better(b); x != y {
			return x
		}
	}
	return a.Modified.After(b.Modified)
}

// look reads the places. Only what is new or has changed is inspected.
func (c *Catalogue) look() []Binary {
	seen := make(map[string]known, len(c.known))
	if c.cfg.Packaged != "" {
		c.see(seen, c.cfg.Packaged, Packaged)
	}
	for _, place := range []struct {
		dir    string
		origin Origin
	}{{c.cfg.Shared, Shared}, {c.cfg.Own, Own}} {
		if place.dir == "" {
			continue
		}
		entries, _ := os.ReadDir(place.dir) // what cannot be read holds no cell
		for _, e := range entries {
			if path := filepath.Join(place.dir, e.Name()); e.Name()[0] != '.' && path != c.cfg.Packaged {
				c.see(seen, path, place.origin)
			}
		}
	}
	changed := len(seen) != len(c.known)
	cells := make([]Binary, 0, len(seen))
	for path, k := range seen {
		changed = changed || c.known[path].id != k.id
		cells = append(cells, k.cell)
	}
	if changed {
		c.generation++
	}
	c.known = seen
	slices.SortFunc(cells, func(a, b Binary) int {
		return cmp.Or(cmp.Compare(rank(a.Origin), rank(b.Origin)), strings.Compare(a.Name, b.Name))
	})
	return cells
}

func rank(o Origin) int { return slices.Index([]Origin{Packaged, Shared, Own}, o) }

// see adds the file at path to seen, if there is one.
func (c *Catalogue) see(seen map[string]known, path string, origin Origin) {
	stat := os.Lstat
	if origin == Packaged {
		stat = os.Stat // whoever gives its path may give a link
	}
	info, err := stat(path)
	if err != nil {
		return
	}
	id := identityOf(info)
	if k, ok := c.known[path]; ok && k.id == id {
		seen[path] = k
		return
	}
	name, auto := strings.CutSuffix(filepath.Base(path), autoSuffix)
	cell := Binary{
		Name: name, Path: path, Origin: origin, Size: info.Size(), Modified: info.ModTime(),
		Auto: auto && origin == Own,
	}
	cell.Ignored = c.distrust(path, info, origin)
	if cell.Ignored == nil {
		cell.Info, cell.Ignored, err = inspect(path)
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		id = identity{} // looked at again
	}
	seen[path] = known{id: id, cell: cell}
}

// inspect reads the cell at path, or says why it is none for us. err is what
// made the refusal, if the file itself did not.
func inspect(path string) (*elfplug.Info, *refusal.Error, error) {
	info, err := elfplug.InspectCell(path)
	if err != nil {
		return nil, badbuild.NotCell(err), err
	}
	if info.Protocol != link.Protocol {
		return info, badbuild.OtherProtocol(info.Protocol, link.Protocol), nil
	}
	return info, nil, nil
}

// distrust refuses a file that somebody else could have written. The packaged
// cell is given by who starts the daemon.
func (c *Catalogue) distrust(path string, info fs.FileInfo, origin Origin) *refusal.Error {
	st := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return badfile.NotRegular(info.Mode())
	case info.Mode()&0o111 == 0:
		return badbuild.NotExecutable(path)
	case origin == Packaged:
		return nil
	case st.Uid != 0 && st.Uid != c.cfg.UID, info.Mode()&0o022 != 0:
		return badbuild.ForeignCell(path)
	}
	return nil
}

func identityOf(info fs.FileInfo) identity {
	st := info.Sys().(*syscall.Stat_t)
	return identity{
		dev: uint64(st.Dev), ino: st.Ino, size: uint64(st.Size),
		mtime: uint64(st.Mtim.Nano()), ctime: uint64(st.Ctim.Nano()),
		mode: st.Mode, uid: st.Uid, gid: st.Gid,
	}
}
