package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// maxFolders is how many folders in the directory are watched at most; of
// those beyond, the poll alone tells.
const maxFolders = 1000

// folders are those in the directory, at any depth, that inotify watches too:
// it is not recursive (inotify(7)). Those that are skipped are not, nor is what is
// in them.
//
// No folder is watched under two paths: the kernel has one watch for each
// inode, which fsnotify knows by one path.
type folders struct {
	ids   map[string]identity // by path
	paths map[identity]string
	// partial says that some are not watched, and that it was reported.
	partial bool
}

// follow keeps the watches in step with what happened. That the parent is
// watched before its entries are read is why nothing is missed in between.
func (w *Watcher) follow(e fsnotify.Event) {
	path := filepath.Clean(e.Name)
	if path == w.dir {
		return
	}
	_, watched := w.folders.ids[path]
	gone := watched && e.Has(fsnotify.Remove|fsnotify.Rename)
	if gone {
		w.forget(path)
	}
	// A folder that was not watched for its mode may be readable now.
	if gone || e.Has(fsnotify.Create) || !watched && e.Has(fsnotify.Chmod) {
		w.cover(path)
	}
}

// recover corrects what follow may have got wrong. Where there are no folders
// it costs nothing: a new one is an event.
func (w *Watcher) recover() {
	if len(w.folders.ids) == 0 && !w.folders.partial {
		return
	}
	for path, id := range w.folders.ids {
		if now, err := w.system.folder(path); err != nil || now != id {
			w.forget(path)
		}
	}
	w.coverAll()
}

// coverAll watches all folders in the directory.
func (w *Watcher) coverAll() {
	if w.cover(w.subfolders(w.dir)...) {
		w.folders.partial = false
	}
}

// cover watches the folders that are among paths, and all in them, those that
// are less deep first. It reports whether it could.
func (w *Watcher) cover(paths ...string) bool {
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		if w.skips(path) {
			continue
		}
		switch watched, err := w.add(path); {
		case err != nil:
			w.lack(err)
			return false
		case watched && len(paths) <= maxFolders: // more cannot be watched anyway
			paths = append(paths, w.subfolders(path)...)
		}
	}
	return true
}

func (w *Watcher) skips(folder string) bool {
	name := filepath.Base(folder)
	if w.Skip == nil || filepath.Dir(folder) == w.dir {
		return strings.HasPrefix(name, ".")
	}
	return w.Skip(name, true)
}

func (w *Watcher) subfolders(dir string) []string {
	names, _ := w.system.folders(dir) // who looks at it finds out
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names
}

var errTooMany = errors.New("too many folders")

// add watches what is at path if it is a folder. The error is inotify's, or
// errTooMany.
func (w *Watcher) add(path string) (watched bool, err error) {
	id, err := w.system.folder(path)
	if err != nil {
		return false, nil
	}
	if w.folders.ids[path] == id {
		return true, nil
	}
	// First of all, or fsnotify takes the new watch for the old.
	w.forget(path)
	if other, ok := w.folders.paths[id]; ok {
		w.forget(other)
	}
	if len(w.folders.ids) == maxFolders {
		return false, errTooMany
	}
	err = w.watch.add(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOTDIR):
		return false, nil // the folder's trouble, not inotify's
	case err != nil:
		return false, fmt.Errorf("add inotify watch: %w", err)
	}
	// What came in between is an event of the parent's.
	if now, err := w.system.folder(path); err != nil || now != id {
		w.watch.remove(path)
		return false, nil
	}
	w.folders.ids[path], w.folders.paths[id] = id, path
	return true, nil
}

// forget ends the watches of the folder at path and of those in it.
func (w *Watcher) forget(path string) {
	for p, id := range w.folders.ids {
		if p == path || strings.HasPrefix(p, path+"/") {
			w.watch.remove(p)
			delete(w.folders.ids, p)
			delete(w.folders.paths, id)
		}
	}
}

// forgetAll ends the watches of all folders.
func (w *Watcher) forgetAll() {
	for path := range w.folders.ids {
		w.forget(path)
	}
}

// lack reports that some folders are not watched, once until all are.
func (w *Watcher) lack(err error) {
	if w.folders.partial {
		return
	}
	w.folders.partial = true
	if err == errTooMany {
		w.report(fmt.Errorf("watch folders in %q: there are more than %d; the others are looked at every %v instead", w.dir, maxFolders, w.poll))
		return
	}
	w.report(fmt.Errorf("watch folders in %q: %w; some are looked at every %v instead%s", w.dir, err, w.poll, limitMend(err)))
}
