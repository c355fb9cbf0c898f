// Package atomicfile writes files that appear under their name whole or not at all,
// and are there after a crash of the machine too (rename(2), fsync(2)).
package atomicfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that has no name yet that anybody looks for. Whoever creates it calls
// Discard in the end, which does nothing once Commit has returned nil.
type File struct {
	*os.File
	done bool
}

// Create makes an empty file in the folder, whose name begins with prefix. Whatever the
// umask, it has the mode.
func Create(dir, prefix string, mode fs.FileMode) (*File, error) {
	f, err := os.CreateTemp(dir, prefix+"*")
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return &File{File: f}, nil
}

// Fill writes all of src to the file, and returns its SHA-256, 64 lower-case hex digits.
// The error wraps ctx's cause where that ends before.
func (f *File) Fill(ctx context.Context, src io.Reader) (sum string, err error) {
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f.File, hash), reader{ctx, src}); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// Commit closes the file and gives it the name path, in the same file system, in the
// place of what has it now. Once it returns nil, that survives a crash of the machine.
func (f *File) Commit(path string) error {
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	f.done = true
	return SyncDir(filepath.Dir(path))
}

// Discard deletes the file, unless it was committed.
func (f *File) Discard() {
	if !f.done {
		f.Close()
		os.Remove(f.Name())
	}
}

// SyncDir makes what was named, renamed or removed in a folder survive a crash of the
// machine. A folder that we may write to and not read cannot be synced, and is not.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
