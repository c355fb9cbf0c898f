// Package belongings makes what a child has of its own beside its sandbox: a folder with its credentials, which is
// in memory alone and ends with the child, folders for its state, which outlive it, and where it works.
package belongings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"golang.org/x/sys/unix"
)

// Belongings are those of one child. Paths are absolute. They are not to be logged: there are secrets in them.
type Belongings struct {
	Credentials []Credential // each of another name
	// Keep is the folder in which the child gets that of its credentials. It has to be in memory alone.
	Keep string
	// State are folders that are made where they are not there, and never removed.
	State []string
	// Dir is where the child works; one with '-' before need not be there. "" is where we do.
	Dir string
}

// Credential is a file of its folder.
type Credential struct{ Name, Content string }

// Equal reports whether both are the same.
func (b Belongings) Equal(o Belongings) bool {
	return b.Dir == o.Dir && slices.Equal(b.State, o.State) && slices.Equal(b.Credentials, o.Credentials)
}

// Made is what one child has.
type Made struct {
	Env         []string // variables that name it
	Read, Write []string // what its sandbox has to let it
	Dir         string   // where it works
	credentials string   // the folder, "" where there is none
}

// Make makes what a child has. The caller removes it once the child has ended. Errors have a *refusal.Error in their chain.
func (b Belongings) Make() (m Made, err error) {
	for _, dir := range b.State {
		if err := makeState(dir); err != nil {
			return m, err
		}
	}
	if len(b.State) > 0 {
		m.Write = b.State
		m.Env = append(m.Env, "STATE_DIRECTORY="+strings.Join(b.State, ":"))
	}
	if m.Dir, err = workingDir(b.Dir); err != nil || len(b.Credentials) == 0 {
		return m, err
	}
	if m.credentials, err = b.keep(); err != nil {
		m.Remove()
		return Made{}, err
	}
	m.Read = []string{m.credentials}
	m.Env = append(m.Env, "CREDENTIALS_DIRECTORY="+m.credentials)
	return m, nil
}

func makeState(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return refusal.Because(refusal.NoState(dir, err), err)
	}
	return nil
}

func workingDir(named string) (string, error) {
	dir, optional := strings.CutPrefix(named, "-")
	if dir == "" {
		return "", nil
	}
	is, err := os.Stat(dir)
	if err == nil && !is.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil {
		err = unix.Access(dir, unix.X_OK)
	}
	switch {
	case err == nil:
		return dir, nil
	case optional && errors.Is(err, fs.ErrNotExist):
		return "", nil
	}
	return "", refusal.Because(refusal.NoWorkingDirectory(dir, err), err)
}

// keep makes the folder of the credentials. What is returned is to be removed where there is an error, too.
func (b Belongings) keep() (dir string, err error) {
	if err := memory(b.Keep); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(b.Keep, "cell-"); err != nil {
		return "", notKept(b.Keep, err)
	}
	for _, c := range b.Credentials {
		if err := os.WriteFile(filepath.Join(dir, c.Name), []byte(c.Content), 0o400); err != nil {
			return dir, notKept(b.Keep, err)
		}
	}
	return dir, os.Chmod(dir, 0o500)
}

// memory sees to it that keep is there, is ours alone, and is on no disk.
func memory(keep string) error {
	parent, here := filepath.Dir(keep), unix.Statfs_t{}
	if err := unix.Statfs(parent, &here); err != nil {
		return notKept(parent, err)
	}
	if here.Type != unix.TMPFS_MAGIC && here.Type != unix.RAMFS_MAGIC {
		return refusal.NoCredentials(parent, "is not in memory alone")
	}
	if err := os.Mkdir(keep, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return notKept(parent, err)
	}
	var is unix.Stat_t
	if err := unix.Lstat(keep, &is); err != nil {
		return notKept(parent, err)
	}
	if is.Mode&unix.S_IFMT != unix.S_IFDIR || is.Uid != uint32(os.Geteuid()) || is.Mode&0o077 != 0 {
		return refusal.NoCredentials(parent, fmt.Sprintf("has %q, which is not the daemon's alone", filepath.Base(keep)))
	}
	return nil
}

func notKept(dir string, err error) error {
	return refusal.Because(refusal.NoCredentials(dir, "cannot be used: "+words.Errno(err)), err)
}

// Remove removes what ends with the child.
func (m Made) Remove() {
	if m.credentials != "" {
		remove(m.credentials)
	}
}

func remove(dir string) {
	os.Chmod(dir, 0o700) // only root removes what is in a folder that may not be written
	os.RemoveAll(dir)
}

// Vacate removes what the children of an earlier daemon have left in keep.
func Vacate(keep string) {
	left, _ := os.ReadDir(keep) // most daemons have none
	for _, e := range left {
		remove(filepath.Join(keep, e.Name()))
	}
}
