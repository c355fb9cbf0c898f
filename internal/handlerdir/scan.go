package handlerdir

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/refusal"
	"golang.org/x/sys/unix"
)

const suffix = ".so"

// Scan looks at every file of dir whose name ends in ".so" and does not begin
// with a dot. What prev, the snapshot before (nil if there is none), found out
// about files that have not changed since is not found out again, unless it was
// of another directory; now must not be before the time given for prev. An error says that the directory cannot
// be scanned, with the mend; it wraps the system's.
func Scan(dir string, rules Rules, prev *Snapshot, now time.Time) (*Snapshot, error) {
	// O_DIRECTORY, so that a FIFO of that name cannot block the open.
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, rules.directory(dir, err)
	}
	defer d.Close()
	s := scan{dir: dir, fd: int(d.Fd()), rules: rules, prev: prev, now: now}

	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(s.fd, &st) }); err != nil {
		return nil, rules.directory(dir, err)
	}
	if prev != nil && (prev.Dir.Dev != uint64(st.Dev) || prev.Dir.Ino != st.Ino) {
		prev, s.prev = nil, nil // what is missing here was never here
	}
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, rules.directory(dir, err)
	}
	if prev != nil {
		// readdir(3) may miss a name that is renamed over while it reads. One
		// that was there before counts as absent only if stat says so too.
		for i := range prev.Files {
			names = append(names, filepath.Base(prev.Files[i].Path))
		}
	}
	slices.Sort(names)

	files := make([]File, 0, len(names))
	for _, name := range slices.Compact(names) {
		if !strings.HasSuffix(name, suffix) || name[0] == '.' {
			continue
		}
		f, present, err := s.look(name)
		if err != nil {
			return nil, rules.directory(dir, err)
		}
		if present {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return &Snapshot{Dir: idOf(&st), Files: files, LookAgain: s.again}, nil
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

// before returns what prev says of the handler name.
func (s *scan) before(name string) (File, bool) {
	if s.prev == nil {
		return File{}, false
	}
	i, ok := slices.BinarySearchFunc(s.prev.Files, name, func(f File, name string) int {
		return cmp.Compare(f.Name, name)
	})
	if !ok {
		return File{}, false
	}
	return s.prev.Files[i], true
}

// look judges one file. An error concerns the whole directory.
func (s *scan) look(file string) (f File, present bool, err error) {
	f = File{Name: handlerName(file), Path: filepath.Join(s.dir, file), since: s.now}
	old, known := s.before(f.Name)

	var st unix.Stat_t
	err = retry(func() error { return unix.Fstatat(s.fd, file, &st, unix.AT_SYMLINK_NOFOLLOW) })
	switch {
	case err == unix.ENOENT && known:
		return s.missed(old)
	case err == unix.ENOENT:
		return File{}, false, nil
	case err == unix.EACCES: // the directory cannot be searched
		return File{}, false, err
	case err != nil:
		f.Refusal = refusal.Unreadable(f.Path, groupName(s.rules.GID), err)
		return f, true, nil
	}

	f.ID = idOf(&st)
	if known && old.ID == f.ID && old.gone.IsZero() {
		if old.final {
			old.Path = f.Path
			return old, true, nil
		}
		f.since = old.since
	}
	if f.Refusal = s.rules.refuse(file, f.Path, &st); f.Refusal != nil {
		f.final = true
		return f, true, nil
	}
	f, err = s.settle(f)
	return f, true, err
}

// missed keeps a file that is not there for as long as the rules say.
func (s *scan) missed(old File) (File, bool, error) {
	if old.gone.IsZero() {
		old.gone = s.now
	}
	left := s.rules.Gone - s.now.Sub(old.gone)
	if left <= 0 {
		return File{}, false, nil
	}
	s.lookAgain(left)
	old.Settled, old.Refusal, old.final = false, nil, false
	return old, true, nil
}

// settle decides whether an admissible file is complete and at rest.
func (s *scan) settle(f File) (File, error) {
	// An mtime ahead of the clock says nothing of the file's age. What was
	// seen unchanged over time is at rest whatever its mtime.
	age := max(s.now.Sub(time.Unix(0, f.ID.Mtime)), s.now.Sub(f.since))
	complete, need, err := s.complete(f)
	var refused *refusal.Error
	switch {
	case errors.Is(err, ErrChanged):
		s.lookAgain(s.rules.Quiet)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return f, err
	case err != nil && !errors.As(err, &refused) && age < s.rules.Stalled:
		// install(1) sets the mode once the content is written.
		s.lookAgain(min(max(age, s.rules.Quiet), s.rules.Stalled-age))
	case err != nil && !errors.As(err, &refused):
		// Not final: what mends this need not touch the file.
		f.Refusal = refusal.Unreadable(f.Path, groupName(s.rules.GID), err)
	case (complete || refused != nil) && age < s.rules.Quiet:
		s.lookAgain(s.rules.Quiet - age)
	case refused != nil:
		f.Refusal, f.final = refused, true
	case complete:
		f.Settled, f.final = true, true
	case age < s.rules.Stalled:
		// Where events tell nothing, waiting as long as it has been at rest
		// finds the end of a copy soon and costs a handful of scans.
		s.lookAgain(min(max(age, s.rules.Quiet), s.rules.Stalled-age))
	default:
		f.Refusal, f.final = refusal.HalfCopied(f.ID.Size, need), true
	}
	return f, nil
}

// complete asks the rules whether the file is whole.
func (s *scan) complete(f File) (complete bool, need int64, err error) {
	if f.ID.Size == 0 {
		return false, 0, nil
	}
	file, err := Open(f)
	if err != nil {
		return false, 0, err
	}
	defer file.Close()
	return s.rules.Complete(file, f.ID.Size)
}

// refuse judges what stat(2) and the name tell.
func (r *Rules) refuse(file, path string, st *unix.Stat_t) *refusal.Error {
	switch {
	case !ValidName(strings.TrimSuffix(file, suffix)):
		return refusal.BadName(file)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return refusal.NotRegular(kindOf(st.Mode))
	case st.Uid != 0 && st.Uid != r.UID:
		return refusal.ForeignOwner(path, userName(st.Uid), userName(r.UID))
	case st.Mode&unix.S_IWOTH != 0:
		return refusal.WritableByOthers(path)
	case st.Mode&unix.S_IWGRP != 0 && st.Gid != 0 && st.Gid != r.GID:
		return refusal.WritableByGroup(path, groupName(st.Gid))
	case st.Size > r.MaxSize:
		return refusal.TooLarge(r.MaxSize)
	}
	return nil
}

// directory words an error that concerns the directory dir.
func (r *Rules) directory(dir string, err error) error {
	return refusal.Directory(dir, groupName(r.GID), err)
}

func kindOf(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFCHR, unix.S_IFBLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

// handlerName quotes a name that no handler may have. No valid name begins
// with a quote and quoting loses nothing, so names stay unique.
func handlerName(file string) string {
	name := strings.TrimSuffix(file, suffix)
	if !ValidName(name) {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// ValidName reports whether name, a file's without ".so", can name a handler:
// a letter or digit, then at most 99 of letters, digits, '.', '_' and '-'.
func ValidName(name string) bool {
	for i := range len(name) {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return 1 <= len(name) && len(name) <= 100
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
