package watch

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// A system is what the package needs of the operating system.
type system struct {
	identify  func(dir string) (identity, error)
	subscribe func(dir string) (*subscription, error)
}

// An identity tells a directory from another at the same path.
type identity struct{ dev, ino uint64 }

// A subscription is an inotify watch on one directory.
type subscription struct {
	dir    identity
	events <-chan fsnotify.Event // closed by close
	errors <-chan error          // closed by close
	close  func()
}

// errDirectory marks an error as the directory's, not inotify's: who looks at
// the directory finds out and words it better.
var errDirectory = errors.New("no such directory to watch")

var realSystem = system{identify: identify, subscribe: subscribe}

func identify(dir string) (identity, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return identity{}, err
	}
	if !info.IsDir() {
		return identity{}, syscall.ENOTDIR
	}
	st := info.Sys().(*syscall.Stat_t)
	return identity{uint64(st.Dev), st.Ino}, nil
}

// subscribe watches dir. The caller closes the subscription.
func subscribe(dir string) (*subscription, error) {
	before, err := identify(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDirectory, err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("start inotify: %w", err)
	}
	if err := w.Add(dir); err != nil {
		shut(w)
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("%w: %w", errDirectory, err)
		}
		return nil, fmt.Errorf("add inotify watch: %w", err)
	}
	// The watch is on one of the two if these differ; which, nobody knows.
	if after, err := identify(dir); err != nil || after != before {
		shut(w)
		return nil, errDirectory
	}
	return &subscription{
		dir:    before,
		events: w.Events,
		errors: w.Errors,
		close:  func() { shut(w) },
	}, nil
}

// shut closes w while reading its errors: fsnotify may be holding, until one
// is read, the lock that Close needs. The reader ends with w.
func shut(w *fsnotify.Watcher) {
	go func() {
		for range w.Errors {
		}
	}()
	w.Close()
}
