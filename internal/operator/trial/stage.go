package trial

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// daemonUser is whom the packaged daemon runs as.
const daemonUser = "plugserver"

// user is whom a trial runs as.
type user struct {
	name       string
	credential *syscall.Credential // nil for our own
}

// runner is the one who begins the trial, but for root: then the daemon's
// user, or nobody where there is none. What a file does is not known before.
func runner() (user, error) {
	if os.Geteuid() != 0 {
		uid := strconv.Itoa(os.Geteuid())
		if u, err := osuser.LookupId(uid); err == nil {
			return user{name: u.Username}, nil
		}
		return user{name: "user " + uid}, nil
	}
	for _, name := range []string{daemonUser, "nobody"} {
		u, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, erru := strconv.ParseUint(u.Uid, 10, 32)
		gid, errg := strconv.ParseUint(u.Gid, 10, 32)
		if erru == nil && errg == nil && uid != 0 {
			return user{name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return user{}, fmt.Errorf("root runs no handler, and there is neither a user %s nor nobody; run it as another user", daemonUser)
}

// plain are the variables that hold no secrets, and that what Go and the C
// library do follows.
var plain = []string{
	"PATH", "LANG", "LANGUAGE", "TZ", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GORACE", "GOTRACEBACK",
}

// environ is the environment of a trial in dir.
func (t Trial) environ(dir string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(plain, name) && !slices.Contains(t.Env, name) && !strings.HasPrefix(name, "LC_")
	})
	for _, name := range []string{"HOME", "TMPDIR"} {
		if !slices.Contains(t.Env, name) {
			env = append(env, name+"="+dir)
		}
	}
	if t.GODEBUG != "" {
		env = append(env, "GODEBUG="+t.GODEBUG)
	}
	return env
}

// folders are where a stage may be, the best first.
func folders() []string {
	list := []string{os.TempDir(), "/var/tmp"}
	if cache, err := os.UserCacheDir(); err == nil {
		list = append(list, cache)
	}
	return slices.Compact(list)
}

// folderError says that a folder is of no use.
type folderError struct{ error }

func (e folderError) Unwrap() error { return e.error }

// stage is a folder of a trial's own, with copies of the file and of the cell:
// the cell's own folder may be closed to the trial's user, and the copy does
// not start where the file could not be loaded either (noexec, mount(8)).
type stage struct{ dir, file, cell string }

func (t Trial) stage(parent string, who user) (*stage, error) {
	dir, err := os.MkdirTemp(parent, "plugserver-trial-")
	if err != nil {
		return nil, folderError{err}
	}
	s := &stage{dir: dir, file: filepath.Join(dir, "handler.so"), cell: filepath.Join(dir, "plugserver-cell")}
	err = who.copy(s.file, t.File, 0o400)
	if err == nil {
		err = who.copy(s.cell, t.Cell, 0o500)
	}
	if err == nil {
		err = who.own(dir)
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *stage) remove() { os.RemoveAll(s.dir) }

// copy copies a file; who owns the copy.
func (who user) copy(dst, src string, mode fs.FileMode) error {
	in, err := os.OpenFile(src, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return folderError{err}
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return folderError{err} // most likely it is full
	}
	if err := who.own(dst); err != nil {
		return err
	}
	return out.Close()
}

// own gives a file to who.
func (who user) own(path string) error {
	if who.credential == nil {
		return nil
	}
	if err := os.Chown(path, int(who.credential.Uid), int(who.credential.Gid)); err != nil {
		return folderError{err}
	}
	return nil
}
