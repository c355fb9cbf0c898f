// Package intake does all that has to do with files, so that whoever decides
// never waits for a disk: it looks at the directory, copies or compiles what is
// new in it, inspects the copy, finds or builds the cell that loads it, finds
// stored versions again, and saves the history. It owns the store, the catalogue
// of cells and the builder.
//
// Its methods are called by one goroutine, the owner's, and return at once. What
// comes of them is handed to the function that the owner gives along, in a
// goroutine of its own, once.
package intake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/build/verdict"
	"github.com/andrestc/go-plugserver/internal/daemon/follower"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/trusted"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/sirupsen/logrus"
)

const (
	sourceTime  = 100 * time.Millisecond // source at rest for so long is compiled
	quietTime   = 25 * time.Millisecond  // a file at rest for so long is settled
	closedTime  = 10 * time.Millisecond  // a new one that its writer has closed is
	rewriteTime = 100 * time.Millisecond // one written over in place is, closed and at rest for so long
	unsureTime  = time.Second            // where nobody knows whether it is closed
	openTime    = 30 * time.Second       // though it is open: whoever opened it may have forgotten it
	stalledTime = 2 * time.Second        // a part of a file at rest for so long is refused
	checkPause  = time.Second            // between copies that are read to see whether they are what they were
	goneTime    = 200 * time.Millisecond // a file missed for so long is gone
)

// Config is what the intake is given.
type Config struct {
	Handlers    string // the watched directory
	Store       string // the store's directory
	Cells       *catalogue.Catalogue
	Builder     *gobuild.Builder // SetBuilder replaces it
	BuildCells  bool             // for plugins that no cell loads
	BuildSource bool
	Scratch     string // a directory for what is being built
	MaxSize     int64  // of a handler's file, in bytes
	Log         *logrus.Logger
	// Trust says whose signatures are believed; Intake's Trust replaces it.
	Trust signature.Policy
	// Doubt says that handlers may write to the store, since nothing confines them; Intake's Doubt says so later.
	Doubt bool
	// Writing says what is known of who writes to the file of that name in the
	// directory (watch); nil where nothing is. Any goroutine may call it.
	Writing func(file string) handlerdir.Writer
	// Changed are the names in the directory to which something has happened since it was called
	// last, and whether these are all (watch); nil where nobody knows. Any goroutine may call it.
	Changed func() (names []string, sure bool)
	// Disabled says that a handler's file is not looked at; nil where all are. Any goroutine may call it.
	Disabled func(handler string) bool
	// Built is told how long a build of a "cell" or a "plugin" took, and how it ended; nil
	// where nobody wants to know. Any goroutine may call it.
	Built func(what string, took time.Duration, err error)
}

// Intake is one daemon's.
type Intake struct {
	cfg     Config
	disk    Disk
	builder atomic.Pointer[gobuild.Builder] // replaced as a whole
	admits  chan struct{}                   // slots of those that copy
	builds  chan struct{}                   // the slot of the one who builds a cell
	history store.History

	// cleaning is closed once no copy is being deleted any more; nil before the
	// first. It is the owner's.
	cleaning chan struct{}
	saver
	*trusted.Keeper // who is trusted
}

// New prepares an intake: it opens the store, reads its history, and sees to it
// that there is a cell.
func New(cfg Config) (*Intake, error) {
	st, err := store.Open(cfg.Store)
	if err != nil {
		return nil, err
	}
	if err := cfg.Cells.Usable(); err != nil {
		return nil, err
	}
	// plugin.Open resolves links; the daemon may change its directory.
	if cfg.Handlers, err = filepath.Abs(cfg.Handlers); err != nil {
		return nil, err
	}
	history, err := st.LoadHistory()
	if err != nil {
		cfg.Log.WithError(err).Error("history cannot be read: handlers lose their seniority")
	}
	keeper := trusted.New(cfg.Trust, trusted.Copy)
	in := on(cfg, keeper, diskOf(cfg, st, keeper), history)
	if cfg.Doubt {
		in.Doubt()
	}
	return in, nil
}

// On is New on a disk of the caller's, for tests. The history is the intake's.
func On(cfg Config, disk Disk, history store.History) *Intake {
	return on(cfg, trusted.New(cfg.Trust, disk.Judge), disk, history)
}

func on(cfg Config, keeper *trusted.Keeper, disk Disk, history store.History) *Intake {
	in := &Intake{cfg: cfg, Keeper: keeper, disk: disk, admits: make(chan struct{}, 2), builds: make(chan struct{}, 1), history: history}
	in.builder.Store(cfg.Builder)
	in.saver.begin(in.disk.Save, in.disk.Compact, cfg.Log)
	return in
}

// Dir is the watched directory.
func (in *Intake) Dir() string { return in.cfg.Handlers }

// History is what was saved last, when New was called.
func (in *Intake) History() store.History { return in.history }

// SetBuilder puts another builder in the place of the one before. Any goroutine
// may call it.
func (in *Intake) SetBuilder(b *gobuild.Builder) { in.builder.Store(b) }

// Seen is what a look at the directory has seen.
type Seen struct {
	Snapshot *handlerdir.Snapshot // nil where Err is not
	Cells    uint64               // changes whenever the cells of this machine do
	Err      error                // why the directory cannot be read
}

// Look looks at the whole directory, or, unless all is to be looked at, at what has changed in it, where that
// is known; prev is what was seen before, nil at first.
func (in *Intake) Look(prev *handlerdir.Snapshot, all bool, done func(Seen)) {
	var changed []string
	sure := false
	if in.cfg.Changed != nil {
		changed, sure = in.cfg.Changed()
	}
	go func() {
		seen := Seen{Cells: in.disk.Cells()}
		seen.Snapshot, seen.Err = in.disk.Scan(prev, changed, sure && !all)
		done(seen)
	}()
}

// Admission is a file on its way into the store.
type Admission struct {
	File   handlerdir.File
	cancel context.CancelFunc
}

// Cancel gives the admission up; its outcome is ErrCancelled, or comes a moment too
// early to be.
func (a *Admission) Cancel() { a.cancel() }

// Admitted is what came of an admission.
type Admitted struct {
	Version store.Version // empty where the file could not even be copied
	Info    *elfplug.Info
	// Mixed says that it may be a part of one version and a part of another: it was
	// written in place over one, and is not proved to be whole.
	Mixed bool
	// Err is why the version is not to be served. Where the file has changed
	// meanwhile it is handlerdir.ErrChanged.
	Err error
	// WantsCell says that Err is for want of a cell.
	WantsCell bool
	// Led is the path in the Part that Asks.Ahead got; "" where it was not called.
	Led string
}

// Asks are what is told of an admission under way, each in a goroutine of its own too.
type Asks struct {
	// Long is told where it takes longer than a moment, because something is built, and what.
	Long func(doing string)
	// Ahead, where it is not nil, gets a copy that is whole and that a cell loads, while its sum is being made,
	// unless it is a copy of what is at Live. Nobody is to be served by it before the outcome.
	// Whoever gets it calls Unlead with its part's path, which nobody opens any more then.
	Ahead func(Prepared)
	Live  string // the path of the version that serves, "" where none does
	// Newest is the newest signature of the handler's that was served, zero where none was.
	Newest signature.Signed
}

// Admit copies a file into the store, or compiles it, inspects the copy and sees
// to it that there is a cell that loads it.
func (in *Intake) Admit(f handlerdir.File, asks Asks, done func(Admitted)) *Admission {
	ctx, cancel := context.WithCancel(context.Background())
	a := &Admission{File: f, cancel: cancel}
	cleaned := in.cleaning
	go func() {
		if cleaned != nil {
			<-cleaned // what is put into the store now would be deleted
		}
		w := &work{Intake: in, file: f, Asks: asks}
		w.Err = w.bringIn(ctx)
		cancel()
		done(w.Admitted)
	}()
	return a
}

// work is the admission of one file; its goroutine's own.
type work struct {
	*Intake
	Admitted
	Asks
	file handlerdir.File
	copy Copied // where it was copied
}

func (w *work) bringIn(ctx context.Context) (err error) {
	take := w.copyIn
	if w.file.Kind != handlerdir.Plugin {
		take = w.compile
	}
	if w.Version, err = take(ctx); err != nil {
		return err
	}
	info, err := w.inspect()
	v, err := verdict.Of(info, err, w.disk.Choose)
	w.Info = v.Info
	switch {
	case err != nil:
		return err
	case v.At != verdict.Passed && v.At != verdict.Cell:
		return v.Refusal
	}
	if err := w.sign(ctx); err != nil || v.At == verdict.Passed {
		return err
	}
	err = w.buildCell(ctx, v.Refusal)
	w.WantsCell = err != nil
	return err
}

// inspect inspects the version, where that was not done beside its copying.
func (w *work) inspect() (*elfplug.Info, error) {
	switch {
	case w.copy.Inspected:
		return w.copy.Info, w.copy.Err
	case w.copy.Known:
		return w.disk.Read(w.Version.Path)
	}
	return w.disk.Inspect(w.Version.Path)
}

func (w *work) copyIn(context.Context) (v store.Version, err error) {
	w.admits <- struct{}{}
	defer func() { <-w.admits }()
	w.copy, err = w.disk.Copy(w.file, w.lead)
	v = w.copy.Version
	if err == nil && w.file.Over {
		var whole bool
		whole, err = w.disk.Whole(v.Path)
		w.Mixed = !whole
	}
	return v, err
}

// lead hands a copy out whose sum is still being made. It is not worth it beside another, nor
// where a mixture of versions may be in it.
func (w *work) lead(copy *os.File, info *elfplug.Info) {
	if w.Ahead == nil || w.file.Over || len(w.admits) > 1 || w.signs() {
		return
	}
	v, err := verdict.Of(info, nil, w.disk.Choose)
	if err != nil || v.At != verdict.Passed || follower.Same(copy, w.Live) {
		return
	}
	if path, err := w.disk.Lead(copy); err == nil {
		w.Led = path
		w.Ahead(Prepared{Program: programOf(v.Cell, info), Parts: []Part{{Handler: w.file.Name, Version: store.Version{Path: path}, Info: info}}})
	}
}

// Doubt has no copy be believed from now on: handlers may write to the store. It is not taken back.
func (in *Intake) Doubt() {
	if in.Keeper.Doubt() {
		return
	}
	if err := in.disk.Doubt(); err != nil {
		in.cfg.Log.WithError(err).Error("the store is believed by the next daemon, though handlers may write to it")
	}
}

// whole says why a copy is not what it was when it was admitted, where handlers may write to the store.
func (in *Intake) whole(v store.Version) error {
	if v.Sum == "" || !in.Doubted() {
		return nil
	}
	_, err := in.disk.Find(v.Sum)
	if errors.Is(err, fs.ErrNotExist) {
		return badfile.AlteredCopy(v.Short())
	}
	return err
}

// Unlead ends the name of a copy that Asks.Ahead got; "" is none.
func (in *Intake) Unlead(path string) {
	if path != "" {
		go in.disk.Unlead(path) // what cannot be deleted now, Clean deletes
	}
}

// Part is a version that a process is to load.
type Part struct {
	Handler string
	Version store.Version
	Info    *elfplug.Info // what it says of itself; nil where it was not inspected yet
	Led     string        // Admitted's
}

// Agree says why two cannot be in one process, nil if they can.
func (p Part) Agree(o Part) error { return elfplug.Agree(p.Info, o.Info) }

// Program is what a process runs.
type Program struct {
	Name, Path string // of the cell's binary
	GODEBUG    string // "" is as the daemon has it
}

// Prepared is what is needed to start a process.
type Prepared struct {
	Program
	Parts []Part // as they were given, and inspected
	Err   error
}

// Prepare finds the program that loads the parts, all of them.
func (in *Intake) Prepare(parts []Part, done func(Prepared)) {
	go func() {
		p := Prepared{Parts: parts}
		p.Err = in.prepare(&p)
		done(p)
	}()
}

func (in *Intake) prepare(p *Prepared) error {
	for i := range p.Parts {
		part := &p.Parts[i]
		if err := in.whole(part.Version); err != nil {
			return err
		}
		if err := in.Believe(part.Handler, part.Version); err != nil {
			return err
		}
		if part.Info == nil {
			info, err := in.disk.Read(part.Version.Path)
			if err != nil {
				return err
			}
			part.Info = info
		}
		cell, refused := in.disk.Choose(part.Info)
		switch {
		case refused != nil:
			return refused
		case p.Path == "":
			p.Program = programOf(cell, part.Info)
		case p.Path != cell.Path:
			return errors.New("no one cell loads all of them")
		}
	}
	return nil
}

// programOf is a cell's, for a process whose first plugin says that of itself.
func programOf(cell catalogue.Binary, info *elfplug.Info) Program {
	return Program{Name: cell.Name, Path: cell.Path, GODEBUG: elfplug.GODEBUG(info, cell.Info, os.Getenv("GODEBUG"))}
}

// Recalled is what was found in the store again.
type Recalled struct {
	Version store.Version // the first that is as it was; zero if none is
	Lost    []error       // why those before it are not
	// Passing says that the last of Lost is for want of memory or descriptors: that
	// version may be there, and none after it was looked for.
	Passing bool
}

// Recall looks for the first of a handler's versions, by their sums and signatures, that is in the store, and may run. It reads the
// whole copy: one that is damaged does not count.
func (in *Intake) Recall(handler string, wanted []store.Version, done func(Recalled)) {
	go func() { done(in.recall(handler, wanted)) }()
}

func (in *Intake) recall(handler string, wanted []store.Version) (r Recalled) {
	for _, want := range wanted {
		v, err := in.disk.Find(want.Sum)
		if v.Signature = want.Signature; err == nil {
			err = in.Believe(handler, v)
		}
		if err == nil {
			r.Version = v
			return r
		}
		r.Lost = append(r.Lost, err)
		if refusal.Passing(err) {
			r.Passing = true
			return r
		}
	}
	return r
}

// Check reads the copies that Admit and Recall have not read, for a daemon before did, until ctx is done; that takes long.
// Those that are damaged are deleted, and told.
func (in *Intake) Check(ctx context.Context, damaged func(sum string)) {
	go in.disk.Check(ctx, damaged)
}

// Loose are the sums of the copies that the history on disk does not name; the map is the caller's.
func (in *Intake) Loose() map[string]bool { return in.disk.Loose() }

// Clean deletes copies of those, whose map is its own. It is called only while nothing is being admitted, and what is admitted waits for it.
func (in *Intake) Clean(unneeded map[string]bool, done func()) {
	cleaning := make(chan struct{})
	in.cleaning = cleaning
	go func() {
		if err := in.disk.Delete(unneeded); err != nil {
			in.cfg.Log.WithError(err).Warn("store cannot be cleaned")
		}
		close(cleaning)
		done()
	}()
}

// Sweep deletes the cells that came by themselves, longer than age ago, and that no version in the store needs.
func (in *Intake) Sweep(age time.Duration) {
	go func() {
		deleted, err := in.disk.Sweep(age)
		if err != nil {
			in.cfg.Log.WithError(err).Warn("cells cannot be cleaned")
		}
		for _, name := range deleted {
			in.cfg.Log.Infof("deleted cell %s: no version needs it", name)
		}
	}()
}

// changed joins err to ErrChanged.
func changed(err error) error { return errors.Join(handlerdir.ErrChanged, err) }

// scratch returns a new folder, for the caller to delete.
func (in *Intake) scratch() (string, error) {
	if err := os.MkdirAll(in.cfg.Scratch, 0o700); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(in.cfg.Scratch, "built-")
	if err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	return dir, nil
}
