package handlerdir

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"golang.org/x/sys/unix"
)

// listOf4321 is an access control list that lets user 4321 write: the entries of
// linux/posix_acl_xattr.h, each a tag, permissions and an id.
func listOf4321() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 7, ^uint32(0)}, {2, 7, 4321}, {4, 5, ^uint32(0)}, {0x10, 7, ^uint32(0)}, {0x20, 5, ^uint32(0)}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

// A real list is found where the kernel keeps it.
func TestListOfAFile(t *testing.T) {
	r := newRoom(t)
	path := r.write("a.so", 100, 100, start)
	switch err := unix.Setxattr(path, "system.posix_acl_access", listOf4321(), 0); {
	case errors.Is(err, unix.ENOTSUP):
		t.Skip("the file system of the temporary folder has no access control lists: TestAccessControlLists judges them")
	case err != nil:
		t.Fatal(err)
	}
	r.want(r.scan(nil, start.Add(time.Minute)), 0, `a refused: file is writable by user "4321", by its access control list`)
}

// Who may write to the directory, or to one above, may put any file there.
func TestFolderOfOthers(t *testing.T) {
	top := newRoom(t)
	top.must(os.Chmod(top.dir, 0o755))
	above, dir := top.path("above"), top.path("above/h")
	top.must(os.MkdirAll(dir, 0o755))
	r := newRoom(t)
	r.dir = dir
	r.write("a.so", 100, 100, start)
	check := func(what, want string) {
		t.Helper()
		s, err := Scan(dir, r.rules, nil, start.Add(time.Minute))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || s != nil || err.Error() != want):
			t.Errorf("%s: %v, want %q", what, err, want)
		case want == "":
			r.want(s, 0, "a settled")
		}
	}
	chmod := func(path string, mode uint32) { t.Helper(); top.must(unix.Chmod(path, mode)) }
	check("as it should be", "")
	chmod(dir, 0o777)
	check("everybody's", `directory "`+dir+`" is writable by others; chmod o-w `+dir)
	chmod(dir, 0o1777)
	check("everybody's, sticky", `directory "`+dir+`" is writable by others; chmod o-w `+dir)
	r.rules.Trust.ReadOnly = func(path string) bool { return path == dir }
	check("everybody's, mounted read-only", badfile.Folder(dir, badfile.ReadOnlyMount(badfile.WritableByOthers(dir))).Error())
	r.rules.Trust.ReadOnly = nil
	chmod(dir, 0o755)
	chmod(above, 0o777)
	check("in everybody's", `directory "`+above+`" is writable by others; chmod o-w `+above)
	chmod(above, 0o1777)
	check("in everybody's, sticky", "")
	chmod(above, 0o755)

	// By another name for it, too.
	top.must(os.Symlink(dir, top.path("link")))
	dir = top.path("link")
	check("by a link", "")
	chmod(above, 0o777)
	check("by a link through everybody's", `directory "`+above+`" is writable by others; chmod o-w `+above)
	chmod(above, 0o755)
	dir = filepath.Join(above, "h")

	if os.Getuid() != 0 {
		return // what follows are others' files
	}
	top.must(os.Chown(dir, 0, 4321))
	chmod(dir, 0o775)
	check("a group's", `directory "`+dir+`" is writable by group "4321"; chmod g-w `+dir)
	chmod(dir, 0o750)
	check("a group may read", "")
	top.must(os.Chown(dir, 4321, 0))
	check("another's", `directory "`+dir+`" is owned by "4321", not by root; chown root `+dir)
	r.rules.Trust.UID = 4321
	top.must(os.Chown(dir, 4321, 0))
	r.rules.Trust.UID = uint32(os.Getuid())
	chmod(above, 0o1777)
	check("another's in everybody's, sticky", `directory "`+above+`" is writable by others; chmod o-w `+above)
	top.must(os.Chown(dir, 0, 0))
	top.must(os.Chown(above, 4321, 0))
	chmod(above, 0o755)
	check("in another's", `directory "`+above+`" is owned by "4321", not by root; chown root `+above)
}

// The layout of a ConfigMap: the file is a link through one that is replaced at
// each update.
func TestLinks(t *testing.T) {
	r := newRoom(t)
	r.must(os.Chmod(r.dir, 0o755))
	now := start.Add(time.Minute)
	update := func(revision string, size int) {
		t.Helper()
		r.must(os.Mkdir(r.path(revision), 0o755))
		r.write(revision+"/a.so", size, 100, start)
		r.must(os.Symlink(revision, r.path("..new")))
		r.must(os.Rename(r.path("..new"), r.path("..data")))
	}
	update("..one", 100)
	r.must(os.Symlink("..data/a.so", r.path("a.so")))
	s := r.scan(nil, now)
	r.want(s, 0, "a settled")
	f := s.Files[0]
	if f.Path != r.path("a.so") || f.Content() != r.path("..one/a.so") {
		t.Errorf("path %s, content in %s", f.Path, f.Content())
	}
	fd, err := Open(f)
	r.must(err)
	fd.Close()
	if same, err := Same(f, r.rules); !same || err != nil {
		t.Errorf("Same = %v, %v", same, err)
	}
	update("..two", 200)
	next := r.scan(s, now)
	r.want(next, 0, "a settled")
	if g := next.Files[0]; g.ID == f.ID || g.ID.Size != 200 || g.Over {
		t.Errorf("after an update: %+v", g)
	}

	refused := func(what, reason, mend string) {
		t.Helper()
		s := r.scan(next, now)
		if got := s.Files[0].Refusal; got == nil || !strings.Contains(got.Reason, reason) || !strings.Contains(got.Mend, mend) || s.Files[0].Settled {
			t.Errorf("%s: %+v, want %q, %q", what, s.Files[0], reason, mend)
		}
	}
	through := "file is a symbolic link that others could have led elsewhere: "
	r.must(os.Chmod(r.path("..two"), 0o777))
	refused("through a folder of others", through+`directory "`+r.path("..two")+`" is writable by others`, "chmod o-w "+r.path("..two"))
	r.must(os.Chmod(r.path("..two"), 0o755))
	r.want(r.scan(next, now), 0, "a settled")
	r.must(os.Chmod(r.path("..two/a.so"), 0o666))
	refused("to a file of others", badfile.WritableByOthers("").Reason, "chmod o-w")
	r.must(os.Chmod(r.path("..two/a.so"), 0o644))
	if os.Getuid() == 0 {
		r.must(os.Lchown(r.path("..data"), 4321, 0))
		refused("through a link of others", through+`symbolic link "`+r.path("..data")+`" is owned by "4321", not by root`, "chown -h root "+r.path("..data"))
		r.must(os.Lchown(r.path("..data"), 0, 0))
	}
	r.must(os.Remove(r.path("..data")))
	refused("to nowhere", "leads nowhere", "remove it and copy the file there")
	r.must(os.Symlink("a.so", r.path("..data")))
	refused("to a file as if it were a folder", "leads nowhere", "")
	r.must(os.Remove(r.path("a.so")))
	r.must(os.Symlink("a.so", r.path("a.so")))
	refused("to itself", "leads nowhere", "")
	r.must(os.Remove(r.path("a.so")))
	r.must(os.Symlink(r.path("..two")+"/../..one/./a.so", r.path("a.so")))
	r.want(r.scan(nil, now), 0, "a settled")
}
