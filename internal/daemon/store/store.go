// Package store keeps private copies of handlers' files, named by their
// content's SHA-256, and the history of what went live. A copy is complete
// before it bears its name and is never written to afterwards: it may be
// mapped into a cell. Deleting it is safe, for the same reason.
//
// The folder and everything in it are the daemon's own (0700, 0400).
package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/copying"
	"github.com/andrestc/go-plugserver/internal/daemon/follower"
	"github.com/andrestc/go-plugserver/internal/daemon/known"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

const (
	tempPrefix = ".tmp-"
	copySuffix = ".so"
)

// Store is one folder of copies. Its methods may be called from any goroutine.
type Store struct {
	dir   string // absolute
	known *known.Book

	// The history: what is saved, and how long its log and its document are, in bytes.
	past             History
	logged, document int64

	mu     sync.Mutex // guards what follows, and that a name that a damaged copy had is taken from it alone
	loose  loose
	litter map[string]bool // paths of files that could not be deleted when nobody needed them any more

	write func(f *os.File, p []byte) (int, error) // f.Write, but for tests
	erase func(path string) error                 // os.Remove, but for tests
}

// Version is one copy in the store.
type Version struct {
	Sum  string // SHA-256 of the content, 64 lower-case hex digits
	Path string // absolute
	Size int64  // bytes
	// Signature is the text of the one that it was admitted with, "" where none was looked at. It
	// is none of the store's.
	Signature string
}

// Short returns the first 12 digits of the sum: the version as people see it.
func (v Version) Short() string { return v.Sum[:min(12, len(v.Sum))] }

// Open opens the store in dir, creating it if it is missing. It takes the
// folder from group and others if they had access, refuses one that is not the
// daemon's own, and deletes what an interrupted Put left behind. A folder is
// one process's at a time.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", dir, err)
	}
	// The parent holds the handlers directory too, which is not as private.
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create store: %w", err)
	}
	d, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != os.Geteuid() {
		return nil, fmt.Errorf("open store %q: it is owned by uid %d and the daemon runs as uid %d; chown it or name another with --state",
			dir, uid, os.Geteuid())
	}
	if info.Mode().Perm() != 0o700 {
		if err := d.Chmod(0o700); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	s := &Store{dir: dir, past: History{}, litter: map[string]bool{}, write: (*os.File).Write, erase: os.Remove}
	s.loose = loose{make(map[string]int), make(map[string]bool)}
	err = s.remove(func(name string) bool {
		if sum, ok := strings.CutSuffix(name, copySuffix); ok && isSum(sum) {
			s.loose.placed(sum)
		}
		return strings.HasPrefix(name, tempPrefix)
	})
	s.known = known.Load(dir, func(sum string) bool { return s.loose.sums[sum] })
	return s, err
}

// Put copies src into the store and returns the copy. It reads no more than
// maxSize+1 bytes: a larger src is refused, with a *refusal.Error. So is any
// src while the disk is full; that error wraps the system's. Whatever the
// error, nothing stays behind.
func (s *Store) Put(src io.Reader, maxSize int64) (Version, error) {
	return s.PutBeside(src, maxSize, io.Discard, func(*os.File, int64) {})
}

// PutBeside is Put that shows the copy of size bytes once it is written, while its sum is
// still being made. What is hashed goes to another, too, which never fails.
func (s *Store) PutBeside(src io.Reader, maxSize int64, too io.Writer, look func(copy *os.File, size int64)) (Version, error) {
	temp, err := s.temp(0o400)
	if err != nil {
		return Version{}, err
	}
	v, err := s.copy(temp, src, maxSize, too, look)
	if e := temp.Close(); err == nil && e != nil {
		err = s.writeError(e)
	}
	if err == nil {
		err = s.place(temp.Name(), v)
	}
	if err != nil {
		s.Discard(temp.Name())
		return Version{}, err
	}
	return v, nil
}

// place gives a copy its name. A copy of the same content that has it stays, if it is as it was: a cell that
// starts may have been allowed that file, and no other of this name.
func (s *Store) place(temp string, v Version) error {
	err := os.Link(temp, v.Path)
	if errors.Is(err, fs.ErrExist) {
		if _, known := s.unread(v.Sum); known {
			err = nil
		} else {
			_, err = s.read(v.Sum)
		}
	}
	if err == nil {
		s.Discard(temp)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if err := os.Rename(temp, v.Path); err != nil {
			return fmt.Errorf("store handler: %w", err)
		}
	}
	s.loose.placed(v.Sum)
	return nil
}

// copy writes src to temp, and has it hashed and looked at.
func (s *Store) copy(temp *os.File, src io.Reader, maxSize int64, too io.Writer, look func(*os.File, int64)) (Version, error) {
	hash := sha256.New()
	behind := follower.Follow(temp, io.MultiWriter(hash, too))
	limit := max(maxSize, maxSize+1) // even if maxSize+1 overflows
	size, err := copying.Fill(temp, src, limit, s.written, behind.Wrote)
	if err == nil && size > maxSize {
		err = badfile.TooLarge(maxSize)
	}
	if err == nil {
		look(temp, size)
	}
	if e := behind.Wait(); err == nil {
		err = e
	}
	if err != nil {
		return Version{}, err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	return Version{Sum: sum, Path: s.path(sum), Size: size}, nil
}

// Lead gives a copy that PutBeside shows another name, which is good for as long as the caller
// wants, or until the next Open. Discard takes it away.
func (s *Store) Lead(copy *os.File) (path string, err error) {
	path = filepath.Join(s.dir, tempPrefix+rand.Text())
	return path, os.Link(copy.Name(), path)
}

// Find returns the copy whose content has the sum. It reads the whole copy, unless
// that was done and it is in the state of then: one that a crash of the machine has
// damaged is deleted and counts as missing. The error of a missing one is
// fs.ErrNotExist.
func (s *Store) Find(sum string) (Version, error) {
	if v, ok := s.unread(sum); ok {
		return v, nil
	}
	v, err := s.read(sum)
	if err == nil {
		s.Learn(State{}, v)
	}
	return v, err
}

var errDamaged = fmt.Errorf("its copy was damaged: %w", fs.ErrNotExist)

// read is Find that reads in any case.
func (s *Store) read(sum string) (Version, error) {
	if !isSum(sum) {
		return Version{}, fmt.Errorf("find version %q: %w", sum, fs.ErrNotExist)
	}
	f, err := os.Open(s.path(sum))
	if err != nil {
		return Version{}, fmt.Errorf("find version: %w", err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{f}, make([]byte, follower.Chunk))
	if err != nil {
		return Version{}, fmt.Errorf("find version: %w", err)
	}
	if hex.EncodeToString(hash.Sum(nil)) != sum {
		switch removed, err := s.removeDamaged(f); {
		case err != nil:
			return Version{}, fmt.Errorf("remove damaged version: %w", err)
		case !removed:
			return s.read(sum) // what has its name by now
		}
		return Version{}, fmt.Errorf("find version %q: %w", sum, errDamaged)
	}
	return Version{Sum: sum, Path: f.Name(), Size: size}, nil
}

// List returns every copy, in no order. It does not read them.
func (s *Store) List() (versions []Version, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	for _, e := range entries {
		sum, ok := strings.CutSuffix(e.Name(), copySuffix)
		if info, err := e.Info(); ok && err == nil && isSum(sum) {
			versions = append(versions, Version{Sum: sum, Path: s.path(sum), Size: info.Size()})
		}
	}
	return versions, nil
}

// isSum reports whether s is a sum as Version has it.
func isSum(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 2*sha256.Size
}

func (s *Store) path(sum string) string { return filepath.Join(s.dir, sum+copySuffix) }

// temp creates a file that the next Open deletes if nobody does before.
func (s *Store) temp(mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(s.dir, tempPrefix+rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, s.writeError(err)
	}
	return f, nil
}

// written writes to a file in the store.
func (s *Store) written(f *os.File, p []byte) error {
	_, err := s.write(f, p)
	if err != nil {
		err = s.writeError(err)
	}
	return err
}

// writeError words an error of writing to the store.
func (s *Store) writeError(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return refusal.Full(s.dir, err)
		}
	}
	return fmt.Errorf("write to store: %w", err)
}
