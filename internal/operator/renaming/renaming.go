// Package renaming gives the files of a canary that was promoted the handler's name, be they a plugin or source, and at
// each moment one of the two is there.
package renaming

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// SourceThere is the handler's source in the directory, "" if it has none: the
// daemon takes no file beside it.
func SourceThere(dir, name string) string {
	path := filepath.Join(dir, name)
	if info, err := os.Lstat(path + ".go"); err == nil && info.Mode().IsRegular() {
		return path + ".go"
	}
	if files, err := os.ReadDir(path); err == nil {
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".go") {
				return path
			}
		}
	}
	return ""
}

// Promote gives what is a handler's canary in the directory the handler's name. The handler's own plugin is replaced, for
// the daemon has it; its own source is kept, hidden from the daemon, for that may be all there is of it.
func Promote(dir, of string, now time.Time) (kept string, err error) {
	name := filepath.Join(dir, canary.Name(of))
	source, own := SourceThere(dir, canary.Name(of)), SourceThere(dir, of)
	from := source
	if from == "" {
		from = name + ".so"
	}
	to := filepath.Join(dir, of) + strings.TrimPrefix(from, name)
	hidden := filepath.Join(dir, "."+of+now.UTC().Format(".20060102T150405Z"))
	switch {
	case source == "" && own == "":
		return "", plugin(from, to)
	case own == to:
		return hidden, exchange(from, to, hidden)
	}
	// For a moment both are there: what serves goes on, and the daemon refuses to choose.
	if source == "" {
		err = plugin(from, to)
	} else {
		err = os.Rename(from, to)
	}
	if err != nil {
		return "", err
	}
	if own != "" {
		return hidden, os.Rename(own, hidden)
	}
	old := filepath.Join(dir, of) + ".so"
	return "", errors.Join(gone(old+signature.Suffix), gone(old))
}

// plugin renames one, with its signature, which goes first, as when a file is installed.
func plugin(from, to string) error {
	err := os.Rename(from+signature.Suffix, to+signature.Suffix)
	if errors.Is(err, fs.ErrNotExist) {
		err = gone(to + signature.Suffix)
	}
	if err != nil {
		return err
	}
	return os.Rename(from, to)
}

// exchange has to be what from is, and hidden what to was, with nothing of them missing at any time.
func exchange(from, to, hidden string) error {
	if _, err := os.Lstat(hidden); err == nil {
		return fmt.Errorf("%q is there already; try again in a second", hidden)
	}
	if err := os.Rename(from, hidden); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, hidden, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE); err != nil {
		return errors.Join(&os.LinkError{Op: "exchange", Old: hidden, New: to, Err: err}, os.Rename(hidden, from))
	}
	return nil
}

// gone removes a file that need not be there.
func gone(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
