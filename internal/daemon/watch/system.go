package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// A system is what the package needs of the operating system.
type system struct {
	identify  func(dir string) (identity, error)
	subscribe func(dir string) (*subscription, error)
	folder    func(path string) (identity, error)        // an error if it is no folder, or a link to one
	folders   func(dir string) (names []string, _ error) // of the folders in dir
}

// An identity tells a directory from another at the same path.
type identity struct{ dev, ino uint64 }

// A subscription is an inotify watch on one directory, and on folders added.
type subscription struct {
	dir    identity
	events <-chan fsnotify.Event // closed by close
	errors <-chan error          // closed by close
	add    func(path string) error
	remove func(path string) // of a folder that was added, even if it is gone since
	close  func()
	// writers are those in the directory; nil where inotify has no room for them.
	writers *writers
}

// errDirectory marks an error as the directory's, not inotify's: who looks at
// the directory finds out and words it better.
var errDirectory = errors.New("no such directory to watch")

var realSystem = system{identify: identify, subscribe: subscribe, folder: folder, folders: subfolders}

func identify(dir string) (identity, error) {
	info, err := os.Stat(dir)
	return identityOf(info, err)
}

// folder is identify for what no link may stand for.
func folder(path string) (identity, error) {
	info, err := os.Lstat(path)
	return identityOf(info, err)
}

func identityOf(info fs.FileInfo, err error) (identity, error) {
	if err != nil {
		return identity{}, err
	}
	if !info.IsDir() {
		return identity{}, syscall.ENOTDIR
	}
	st := info.Sys().(*syscall.Stat_t)
	return identity{uint64(st.Dev), st.Ino}, nil
}

// maxNames is among how many entries of a folder others are looked for.
const maxNames = 10_000

// subfolders lists folders in dir. Those that it could list are listed even if
// it returns an error.
func subfolders(dir string) (names []string, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(maxNames)
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
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
	errs := forward(w.Errors)
	if err := w.Add(dir); err != nil {
		w.Close()
		if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("%w: %w", errDirectory, err)
		}
		return nil, fmt.Errorf("add inotify watch: %w", err)
	}
	// The watch is on one of the two if these differ; which, nobody knows.
	if after, err := identify(dir); err != nil || after != before {
		w.Close()
		return nil, errDirectory
	}
	writers, err := watchWriters(dir)
	if err != nil {
		writers = nil // who asks waits longer
	}
	return &subscription{
		dir:    before,
		events: w.Events,
		errors: errs,
		add:    w.Add,
		remove: func(path string) { w.Remove(path) }, // it may be gone, and with it its watch
		close: func() {
			w.Close()
			if writers != nil {
				writers.close()
			}
		},
		writers: writers,
	}, nil
}

// forward reads errors at once: until one is read fsnotify may be holding the
// lock that Add, Remove and Close need. The reader ends with in.
func forward(in <-chan error) <-chan error {
	out := make(chan error, 16)
	go func() {
		defer close(out)
		for err := range in {
			select {
			case out <- err:
			default: // as many tell enough
			}
		}
	}()
	return out
}
