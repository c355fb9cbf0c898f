// Package apart runs a child in a unit of its own, with a user and a control group that no other process has: the service
// manager starts a process for whoever connects to its socket (Accept=yes, systemd.socket(5)), the keeper, which runs one child
// as the supervisor says, and ends with it, and with the connection. The child has its link with the supervisor: nothing of what it says
// passes through the keeper but what it prints.
//
// Nobody but the supervisor may have things run so, but cells are of the same user: who connects shows an open folder that
// their sandboxes let none of them open.
package apart

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"golang.org/x/sys/unix"
)

// version is that of what the two say to each other. An upgrade may have a new keeper meet the supervisor of before.
const version = 1

// The kinds of frames: the first four are the supervisor's.
const (
	start  = 's' // an order; its descriptors are the lent folder's, open, and the child's end of its link
	ask    = 'a' // for what the child uses: answered by uses
	title  = 't' // what the child does, to be told
	kill   = 'k' // the child, at once; without, it has time to end once nobody is there
	begun  = 'b' // a birth
	output = 'o' // the stream's first letter of two and the line
	uses   = 'u' // a proc.Usage
	ended  = 'e' // a death; nothing follows
)

// order is what the keeper is to run. Paths that begin with lent are of files in the child's lent folder.
type order struct {
	Version    int
	Folder     string // the child's own, in the lent folder
	Path       string
	Args, Env  []string
	Limits     proc.Limits
	Sandbox    *sandbox.Rules
	Belongings belongings.Belongings
}

// lent begins the path of a file that is lent.
const lent = "lent:"

// birth is what has come of an order.
type birth struct {
	PID     int
	Lent    string // where the child finds its folder
	Err     string // why there is none
	Refusal *refusal.Error
}

// death is how a child has ended.
type death struct{ Status, Exceeded string }

// tell sends a frame. Where there is no room for a descriptor now, it waits.
func tell(c *wire.Conn, kind byte, v any, files ...*os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return c.Send(kind, fds, body)
}

// supervises reports why who has sent the open folder is not the supervisor, whose it is at path.
func supervises(fd int, path string) error {
	var is, want unix.Stat_t
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err = errors.Join(err, unix.Fstat(fd, &is), unix.Stat(path, &want)); err != nil {
		return err
	}
	if flags&unix.O_PATH != 0 { // which takes no right
		return errors.New("the folder that it shows is not open")
	}
	if is.Mode&unix.S_IFMT != unix.S_IFDIR || is.Dev != want.Dev || is.Ino != want.Ino {
		return fmt.Errorf("the folder that it shows is not %s", path)
	}
	return nil
}

// streams are those of output, by their first letters of two.
var streams = map[string]string{"1 ": "stdout", "2 ": "stderr"}

func heard(body []byte) (stream, line string) {
	text := string(body)
	return streams[text[:min(2, len(text))]], text[min(2, len(text)):]
}

func printed(stream, line string) []byte {
	if stream == "stdout" {
		return []byte("1 " + line)
	}
	return []byte("2 " + line)
}

// unlend is path as the child finds it, whose folder is dir.
func unlend(path, dir string) string {
	if name, ok := strings.CutPrefix(path, lent); ok {
		return dir + "/" + name
	}
	return path
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
