package intake

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/trusted"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/andrestc/go-plugserver/internal/file/trust"
	"golang.org/x/sys/unix"
)

// onDisk is for how long a file was not written that is on disk by now, and not in memory alone.
const onDisk = 30 * time.Second

// Disk is all that may have to wait for a disk. Each may take as long as it
// likes: none is called by whoever decides.
type Disk struct {
	// Scan looks at the directory, at the names that have changed where it is sure which those are.
	Scan func(prev *handlerdir.Snapshot, changed []string, sure bool) (*handlerdir.Snapshot, error)
	// Copy copies a file into the store, if it is settled. A copy that is whole is shown while its
	// sum is still being made; nothing is changed in it any more.
	Copy      func(f handlerdir.File, whole func(*os.File, *elfplug.Info)) (Copied, error)
	Lead      func(copy *os.File) (path string, err error) // another name of a copy that is shown
	Unlead    func(path string) error
	Put       func(path string) (store.Version, error) // a file that was built into the store
	Find      func(sum string) (store.Version, error)
	Signature func(path string) (text string, touched time.Time, err error) // signature.Read
	Judge     trusted.Judge
	Inspect   func(path string) (*elfplug.Info, error)
	Read      func(path string) (*elfplug.Info, error) // what was inspected before
	Check     func(ctx context.Context, damaged func(sum string))
	Whole     func(path string) (bool, error) // elfplug.WholeFile
	Choose    func(*elfplug.Info) (catalogue.Binary, *refusal.Error)
	Cells     func() uint64          // catalogue.Catalogue's Generation
	Loose     func() map[string]bool // store.Store's; it asks no disk
	Delete    func(sums map[string]bool) error
	Sweep     func(age time.Duration) (deleted []string, err error)
	Save      func(store.Changes) error
	Doubt     func() error
	Compact   func() error // what Save has saved; nothing is saved after it
}

// Copied is a file's copy in the store.
type Copied struct {
	store.Version
	Known bool // it was there before
	// Inspected says that it was inspected beside; Info and Err are what came of that.
	Inspected bool
	Info      *elfplug.Info
	Err       error
}

// diskOf is the machine's.
func diskOf(cfg Config, st *store.Store, keeper *trusted.Keeper) Disk {
	rules := cfg.rules()
	return Disk{
		Scan: func(prev *handlerdir.Snapshot, changed []string, sure bool) (*handlerdir.Snapshot, error) {
			rules := rules
			if keeper.Policy().On() {
				rules.Signed = signature.Suffix
			}
			if sure {
				return handlerdir.ScanSome(cfg.Handlers, rules, prev, changed, time.Now())
			}
			return handlerdir.Scan(cfg.Handlers, rules, prev, time.Now())
		},
		Copy: func(f handlerdir.File, whole func(*os.File, *elfplug.Info)) (Copied, error) {
			return copyIn(st, cfg.MaxSize, f, whole)
		},
		Signature: signature.Read,
		Lead:      st.Lead, Unlead: st.Discard,
		Put: func(path string) (store.Version, error) {
			src, err := os.Open(path)
			if err != nil {
				return store.Version{}, err
			}
			defer src.Close()
			return st.Put(src, cfg.MaxSize)
		},
		Check: func(ctx context.Context, damaged func(sum string)) { st.Check(ctx, checkPause, damaged) },
		Find:  st.Find, Inspect: elfplug.InspectFile, Read: elfplug.ReadFile, Whole: elfplug.WholeFile, Choose: cfg.Cells.Choose, Cells: cfg.Cells.Generation,
		Loose: st.Loose, Delete: st.Delete, Doubt: st.Doubt, Save: st.SaveHistory, Compact: st.CompactHistory,
		Sweep: func(age time.Duration) ([]string, error) { return sweep(cfg.Cells, st, age) },
	}
}

// copyIn is Disk.Copy of a store.
func copyIn(st *store.Store, maxSize int64, f handlerdir.File, whole func(*os.File, *elfplug.Info)) (c Copied, _ error) {
	src, err := handlerdir.Open(f)
	if err != nil {
		return c, err
	}
	defer src.Close()
	from := store.State{Dev: f.ID.Dev, Ino: f.ID.Ino, Size: f.ID.Size, Mtime: f.ID.Mtime, Ctime: f.ID.Ctime}
	if c.Version, c.Known = st.Known(from); c.Known {
		return c, nil
	}
	var zeros elfplug.Zeros
	var gaps func(*elfplug.Zeros) error
	c.Version, err = st.PutBeside(src, maxSize, &zeros, func(copy *os.File, size int64) {
		c.Inspected = true
		if c.Info, gaps, c.Err = elfplug.InspectBeside(copy, size); c.Err != nil {
			return
		}
		if same, err := handlerdir.Unchanged(src, f.ID); err == nil && same {
			whole(copy, c.Info)
		}
	})
	if err != nil {
		return c, err
	}
	if c.Err == nil {
		if c.Err = gaps(&zeros); c.Err != nil {
			c.Info = nil
		}
	}
	if same, err := handlerdir.Unchanged(src, f.ID); err != nil || !same {
		return c, changed(err)
	}
	st.Learn(from, c.Version)
	if time.Since(time.Unix(0, f.ID.Mtime)) > onDisk {
		// Nobody reads it again. Its pages are the next copy's, which costs half as much as fresh ones; and a
		// thousand handlers are in memory once.
		unix.Fadvise(int(src.Fd()), 0, 0, unix.FADV_DONTNEED) // best effort
	}
	return c, nil
}

func (cfg Config) rules() handlerdir.Rules {
	return handlerdir.Rules{
		MaxSize: cfg.MaxSize, Quiet: quietTime, SourceQuiet: sourceTime, Stalled: stalledTime, Gone: goneTime,
		Closed: closedTime, Rewrite: rewriteTime, Unsure: unsureTime, Open: openTime,
		Trust:    trust.Rules{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
		Complete: elfplug.Complete, Foreign: elfplug.Foreign, Blank: elfplug.Blank, Writing: cfg.Writing, Skip: cfg.Disabled,
	}
}

func sweep(binaries *catalogue.Catalogue, st *store.Store, age time.Duration) ([]string, error) {
	versions, err := st.List()
	if err != nil {
		return nil, err
	}
	var plugins []*elfplug.Info
	for _, v := range versions {
		info, err := elfplug.InspectFile(v.Path)
		if err != nil {
			return nil, fmt.Errorf("nothing is deleted: %w", err)
		}
		plugins = append(plugins, info)
	}
	return binaries.Keep(plugins, age)
}
