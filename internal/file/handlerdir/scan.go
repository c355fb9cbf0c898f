package handlerdir

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/lstat"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"golang.org/x/sys/unix"
)

// Scan looks at every file of dir whose name ends in ".so" and does not begin
// with a dot; and at source if the rules ask for it: regular files whose names
// end in ".go" but not in "_test.go", and folders with such a file at their
// top, unless their names begin with a dot or '_' or are those of editors'
// temporary files. What prev, the snapshot before (nil if there is none),
// found out about files that have not changed since is not found out again,
// unless it was of another directory; now must not be before the time given
// for prev. A candidate may be a link to such a file. An error says that the
// directory cannot be scanned, with the fix; it wraps the system's, or is a
// refusal: others than root and the daemon may write to the directory, or to one
// above it.
func Scan(dir string, rules Rules, prev *Snapshot, now time.Time) (*Snapshot, error) {
	return look(dir, rules, prev, nil, now)
}

// ScanSome is Scan of the entries with these names, of all that prev has no lasting
// verdict of, and of links. Of the others, and of the directory's names, it takes prev's
// word. Where that does not go, it is Scan.
func ScanSome(dir string, rules Rules, prev *Snapshot, names []string, now time.Time) (*Snapshot, error) {
	if prev == nil || len(prev.Skipped) > 0 {
		return look(dir, rules, prev, nil, now)
	}
	return look(dir, rules, prev, &names, now)
}

// look is ScanSome, or Scan where some is nil.
func look(dir string, rules Rules, prev *Snapshot, some *[]string, now time.Time) (*Snapshot, error) {
	// O_DIRECTORY, so that a FIFO of that name cannot block the open.
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, rules.directory(dir, err)
	}
	defer d.Close()
	if refused := rules.Trust.Directory(dir); refused != nil {
		return nil, refused
	}
	s := scan{dir: dir, fd: int(d.Fd()), rules: rules, prev: prev, now: now}

	var st unix.Stat_t
	if err := lstat.Retry(func() error { return unix.Fstat(s.fd, &st) }); err != nil {
		return nil, rules.directory(dir, err)
	}
	if prev != nil && (prev.Dir.Dev != uint64(st.Dev) || prev.Dir.Ino != st.Ino) {
		s.prev, some = nil, nil // what is missing here was never here
	}
	var files []File
	var names []string
	if some != nil {
		files, names = s.stay(*some)
	} else if names, err = s.all(d); err != nil {
		return nil, rules.directory(dir, err)
	}
	slices.Sort(names)
	files, skipped, err := s.lookAt(slices.Compact(names), files)
	if err != nil {
		return nil, rules.directory(dir, err)
	}
	slices.SortFunc(files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return &Snapshot{Dir: idOf(&st), Files: unique(files), LookAgain: s.again, Skipped: slices.Compact(slices.Sorted(slices.Values(skipped)))}, nil
}

// all returns the names that there are.
func (s *scan) all(d *os.File) ([]string, error) {
	names, err := d.Readdirnames(-1)
	if err != nil || s.prev == nil {
		return names, err
	}
	// readdir(3) may miss a name that is renamed over while it reads. One
	// that was there before counts as absent only if stat says so too.
	for i := range s.prev.Files {
		names = s.prev.Files[i].names(names)
	}
	return names, nil
}

// stay returns what is taken over from before, and the names of what is looked at: of some,
// and of all else.
func (s *scan) stay(some []string) (files []File, names []string) {
	changed := make(map[string]bool, len(some))
	for _, name := range some {
		changed[name] = true
		if of, ok := strings.CutSuffix(name, s.rules.Signed); ok {
			changed[of] = true
		}
	}
	files = make([]File, 0, len(s.prev.Files)+len(some))
	for i := range s.prev.Files {
		if f := &s.prev.Files[i]; f.final && f.claims == nil && f.Real == "" && !changed[filepath.Base(f.Path)] {
			files = append(files, *f)
		} else {
			names = f.names(names)
		}
	}
	return files, slices.AppendSeq(names, maps.Keys(changed))
}

// names adds the names of the entries that are of the file's name.
func (f *File) names(all []string) []string {
	all = append(all, filepath.Base(f.Path))
	for _, c := range f.claims {
		all = append(all, filepath.Base(c.Path))
	}
	return all
}

// lookAt looks at the candidates among names, and adds what is there to files. It also
// returns the handlers that the rules skip.
func (s *scan) lookAt(names []string, files []File) (all []File, skipped []string, err error) {
	for _, name := range names {
		kind, candidate := s.rules.kind(name)
		if !candidate {
			continue
		}
		if handler := handlerName(name, kind); s.rules.Skip != nil && s.rules.Skip(handler) {
			skipped = append(skipped, handler)
			continue
		}
		f, present, err := s.look(name, kind)
		if err != nil {
			return nil, nil, err
		}
		if present {
			files = append(files, f)
		}
	}
	return files, skipped, nil
}

// A scan is one look in progress.
type scan struct {
	dir   string
	fd    int // of dir
	rules Rules
	prev  *Snapshot
	now   time.Time
	again time.Duration // the soonest time asked for, 0 if none was
}

// lookAgain asks for another scan after d.
func (s *scan) lookAgain(d time.Duration) {
	d = max(d, time.Millisecond)
	if s.again == 0 || d < s.again {
		s.again = d
	}
}

// before returns what prev says of the candidate, nil if nothing.
func (s *scan) before(name string, kind Kind) *File {
	if s.prev == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.prev.Files, name, func(f File, name string) int {
		return cmp.Compare(f.Name, name)
	})
	if !ok {
		return nil
	}
	f := &s.prev.Files[i]
	for i := range f.claims {
		if f.claims[i].Kind == kind {
			return &f.claims[i]
		}
	}
	if f.Kind != kind || f.claims != nil {
		return nil
	}
	return f
}

// look judges one candidate. An error concerns the whole directory.
func (s *scan) look(file string, kind Kind) (f File, present bool, err error) {
	f = File{Name: handlerName(file, kind), Kind: kind, Path: filepath.Join(s.dir, file), since: s.now}
	old := s.before(f.Name, kind)

	var st unix.Stat_t
	err = lstat.At(s.fd, file, &st)
	isDir := lstat.Mode(st.Mode).IsDir()
	switch {
	case err == unix.EACCES: // the directory cannot be searched
		return File{}, false, err
	case err == unix.ENOENT, err == nil && kind == GoPackage && !isDir, err != nil && kind == GoPackage && old == nil:
		return s.missed(old)
	case err != nil:
		f.Refusal = s.rules.unreadable(f, err)
		return f, true, nil
	case isDir && kind != Plugin:
		return s.lookInto(f, &st, old)
	case lstat.Mode(st.Mode) == fs.ModeSymlink:
		if f.Refusal = s.link(&f, &st); f.Refusal != nil {
			f.ID, f.Library = idOf(&st), s.libraryLink(file, &st)
			return f, true, nil
		}
	}

	f.ID = idOf(&st)
	if kind == Plugin {
		f.ID.Sign = s.signature(file)
	}
	if f.sameAs(old) {
		return f, true, nil
	}
	if f.Refusal = s.rules.refuse(f, &st); f.Refusal != nil {
		f.final, f.Library = true, s.libraryLink(file, &st)
		return f, true, nil
	}
	touched := f.ID.Mtime
	if kind != Plugin {
		// Where cp -p or tar(1) set the other. Of a plugin, being complete
		// says more than its age.
		touched = max(touched, f.ID.Ctime)
	}
	f.Over = old != nil && old.gone.IsZero() && old.ID.Dev == f.ID.Dev && old.ID.Ino == f.ID.Ino && (old.Settled || old.Over)
	rest := s.rest(f)
	complete, need, err := s.complete(f, touched, &rest)
	f, err = s.settle(f, touched, rest, complete, need, err)
	return f, true, err
}

// lookInto judges one folder, which is absent unless it is a Go package.
func (s *scan) lookInto(f File, st *unix.Stat_t, old *File) (File, bool, error) {
	file := filepath.Base(f.Path)
	t, err := sourcedir.Look(s.fd, file, f.Path, s.rules.source())
	switch {
	case err == sourcedir.ErrNone, err == unix.ENOENT, err == unix.ENOTDIR, err == unix.ELOOP:
		return s.missed(old)
	case err == unix.EMFILE, err == unix.ENFILE:
		return f, false, err
	case f.Kind == GoFile:
		f.Refusal = badfile.SourceFolderName(file)
	case !ValidName(file):
		f.Refusal = badfile.BadName(file)
	}
	switch {
	case err != nil && f.Refusal != nil:
		return s.missed(old) // nobody knows whether it is a package
	case f.Refusal != nil:
		f.ID, f.final = ID{Dev: uint64(st.Dev), Ino: st.Ino}, true
		return f, true, nil
	case err != nil:
		t = sourcedir.State{Touched: st.Ctim.Nano(), Err: &sourcedir.EntryError{Entry: ".", Cause: err}}
		f.ID = idOf(st)
	default:
		f.ID = sourceID(t)
	}
	if f.sameAs(old) {
		return f, true, nil
	}
	f, err = s.settle(f, t.Touched, rest{quiet: s.rules.SourceQuiet}, true, 0, t.Err)
	return f, true, err
}

// signature is the state of what lies beside a plugin, as its signature. Whether it is one, and what it says, is
// found out by who admits the plugin.
func (s *scan) signature(file string) State {
	var st unix.Stat_t
	if s.rules.Signed == "" || lstat.Retry(func() error { return unix.Fstatat(s.fd, file+s.rules.Signed, &st, 0) }) != nil {
		return State{}
	}
	return State{st.Ino, st.Mtim.Nano(), st.Ctim.Nano()}
}

// sameAs takes over what old, which may be nil, says of the state that f is in,
// and reports whether that is the verdict. A signature changes nothing of it.
func (f *File) sameAs(old *File) bool {
	if old == nil || old.ID.content() != f.ID.content() || !old.gone.IsZero() {
		return false
	}
	f.since = old.since
	if old.final {
		f.Settled, f.Refusal, f.Library, f.Over, f.final = old.Settled, old.Refusal, old.Library, old.Over, true
	}
	return old.final
}

// missed keeps a file that is not there for as long as the rules say.
func (s *scan) missed(old *File) (File, bool, error) {
	if old == nil {
		return File{}, false, nil
	}
	f := *old
	if f.gone.IsZero() {
		f.gone = s.now
	}
	left := s.rules.Gone - s.now.Sub(f.gone)
	if left <= 0 {
		return File{}, false, nil
	}
	s.lookAgain(left)
	f.Settled, f.Refusal, f.Library, f.final = false, nil, false, false
	return f, true, nil
}

// link follows a candidate that is a symbolic link, and puts into st what it
// leads to. The refusal is not final: what fixes it need not touch the link.
func (s *scan) link(f *File, st *unix.Stat_t) *refusal.Error {
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return s.rules.unreadable(*f, err)
	}
	real, to, refused, err := s.rules.Trust.Follow(path)
	switch {
	case err == unix.ENOENT, err == unix.ENOTDIR, err == unix.ELOOP:
		return badfile.DeadLink()
	case err != nil:
		return s.rules.unreadable(*f, err)
	case refused != nil:
		return badfile.LinkThrough(refused)
	}
	*st, f.Real = to, real
	return nil
}

// libraryLink reports whether a candidate is a symbolic link from the name that
// a linker looks for to a library's own, libx.so to libx.so.1.
func (s *scan) libraryLink(file string, st *unix.Stat_t) bool {
	if lstat.Mode(st.Mode)&fs.ModeSymlink == 0 || !libraryName(file) {
		return false
	}
	target, err := os.Readlink(filepath.Join(s.dir, file))
	return err == nil && strings.HasPrefix(filepath.Base(target), strings.TrimSuffix(file, suffixes[Plugin]))
}
