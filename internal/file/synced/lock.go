package synced

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that somebody else has the lock.
var ErrLocked = errors.New("another sync of it is under way")

// Lock is one that this process has; it ends with the process.
type Lock struct{ f *os.File }

// Unlock gives it back.
func (l Lock) Unlock() { l.f.Close() }

// LockEntry locks an entry, and makes the folder where there is none. The error wraps
// ErrLocked where somebody else has it.
func LockEntry(dir, name string) (Lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Lock{}, err
	}
	return lock(lockPath(dir, name))
}

func lockPath(dir, name string) string { return filepath.Join(dir, name+".lock") }

// Elapsed remembers that a timer which has elapsed at a time has started a sync of the entry, and reports whether that was
// known: the lock's file has that time, so that nothing is written to the disk each minute.
func Elapsed(dir, name string, at time.Time) (known bool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	path := lockPath(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil: // the time of a new file is now, which says nothing
		f.Close()
	case !errors.Is(err, os.ErrExist):
		return false, err
	default:
		info, err := os.Lstat(path)
		if err != nil || info.ModTime().Unix() == at.Unix() { // not every file system knows more than seconds
			return err == nil, err
		}
	}
	return false, os.Chtimes(path, at, at)
}

// pause is how long is waited between two looks at a lock.
const pause = 50 * time.Millisecond

// LockDirectory locks the handlers directory against other entries, and waits for it.
func LockDirectory(ctx context.Context, dir string) (Lock, error) {
	for {
		l, err := lock(filepath.Join(dir, ".lock"))
		if !errors.Is(err, ErrLocked) {
			return l, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return Lock{}, fmt.Errorf("wait for another entry's sync: %w", context.Cause(ctx))
		}
	}
}

func lock(path string) (Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return Lock{}, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return Lock{}, fmt.Errorf("lock %q: %w", path, ErrLocked)
	case err != nil:
		f.Close()
		return Lock{}, fmt.Errorf("lock %q: %w", path, err)
	}
	// Whoever had it may have deleted it (Forget): then the next has another file of that name.
	was, err := f.Stat()
	if now, e := os.Lstat(path); err != nil || e != nil || !os.SameFile(was, now) {
		f.Close()
		return Lock{}, fmt.Errorf("lock %q: %w", path, errors.Join(ErrLocked, err))
	}
	return Lock{f}, nil
}
