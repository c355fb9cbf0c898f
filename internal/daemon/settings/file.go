package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const maxSize = 1 << 20 // bytes of one file

// dropIns returns the paths of the drop-ins of the file at path, by name.
func dropIns(path string) (files []string, err error) {
	dir := path + ".d"
	entries, err := os.ReadDir(dir)
	if missing(dir, err) {
		return nil, nil
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".conf") && name[0] != '.' {
			files = append(files, filepath.Join(dir, name))
		}
	}
	return files, unreadable(dir, "a+rx", err)
}

// read returns the text of the file at path, none if it is not there.
func read(path string) (text string, err error) {
	// O_NONBLOCK, so that a FIFO of that name cannot block the open.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if missing(path, err) {
		return "", nil
	}
	if err != nil {
		return "", unreadable(path, "a+r", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", unreadable(path, "a+r", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("read settings %q: not a regular file; remove it, or put a file in its place", path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if len(content) > maxSize {
		return "", fmt.Errorf("read settings %q: larger than %d MiB; put only settings there", path, maxSize>>20)
	}
	return string(content), unreadable(path, "a+r", err)
}

// find returns what a setting names: what is in a file, by its absolute path, or in a credential of the service.
func (s *Settings) find(file string) (content string, there bool, err error) {
	if !filepath.IsAbs(file) {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", s.outside, nil
		}
		file = filepath.Join(dir, file)
	}
	if content, err = read(file); content == "" {
		_, none := os.Lstat(file)
		return "", none == nil, err
	}
	return content, true, err
}

// missing reports whether err says that nothing is at path. A link that leads
// nowhere is something: whoever made it means settings to be there.
func missing(path string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// unreadable words why path could not be read, nil for nil. The mode is what
// chmod(1) is to give it.
func unreadable(path, mode string, err error) error {
	mend := "look for errors of its disk in the kernel's log"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		mend = fmt.Sprintf("let the daemon's user in: chmod %s %q, and a+x the directories above", mode, path)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		mend = "mend the symbolic link, or remove it"
	case errors.Is(err, syscall.ENOTDIR):
		mend = "a file is where a directory has to be: move that file away"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno // without the path again
	}
	return fmt.Errorf("read settings %q: %w; %s", path, err, mend)
}
