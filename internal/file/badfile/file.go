// Package badfile words why a file cannot be a handler, as far as that is found without
// running it: its name, who may write to it, whether it is whole, what it says of
// itself. Each refusal has its fix.
package badfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// HalfCopied refuses a file of size bytes that stopped growing before the
// need bytes that its own headers speak of. A need of 0 is unknown; one up to
// size says that the file has its size but not yet its content.
func HalfCopied(size, need int64) *refusal.Error {
	e := &refusal.Error{Mend: "copy it again, to a name without .so first, and rename that when it is whole"}
	switch {
	case size == 0:
		e.Reason = "file is empty"
	case need > size:
		e.Reason = fmt.Sprintf("file is half-copied: it ends at byte %d of %d", size, need)
	case need == 0:
		e.Reason = fmt.Sprintf("file is half-copied: it ends at byte %d", size)
	default:
		e.Reason = fmt.Sprintf("file is half-copied: it has its %d bytes, but not their content", size)
	}
	return e
}

// BadName refuses a file or folder whose name, with its ".so" or ".go" if it
// has one, cannot name a handler.
func BadName(file string) *refusal.Error {
	mend := "rename it: a letter or digit, then at most 99 of letters, digits, '.', '_' and '-'"
	if ext := path.Ext(file); ext == ".so" || ext == ".go" {
		mend += ", then " + ext
	}
	return &refusal.Error{Reason: fmt.Sprintf("file name %q cannot name a handler", file), Mend: mend}
}

// NotRegular refuses whatever is no regular file; mode tells what it is.
func NotRegular(mode fs.FileMode) *refusal.Error {
	mend := "remove it and copy the handler's file there"
	switch {
	case mode&fs.ModeSymlink != 0:
		mend = "replace it with a copy of the file it points to"
	case mode.IsDir():
		mend = "copy plugins into the handlers directory itself: folders in it are not searched for them"
	}
	return &refusal.Error{Reason: "file is " + special(mode) + ", not a regular file", Mend: mend}
}

// special says what a file that is not regular is.
func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}

// WritableByOthers refuses a file that anybody on the machine may rewrite.
func WritableByOthers(path string) *refusal.Error {
	return &refusal.Error{Reason: "file is writable by others", Mend: "chmod o-w " + words.Shell(path)}
}

// unseen is who an unknown owner or group is: a namespace has no other name.
const unseen = "that the daemon cannot tell: its user namespace (PrivateUsers=) shows uid and gid 65534, nobody, for all but root and its own user; ls -l names it"

// WritableByGroup refuses a file that the members of a group may rewrite, such
// as member, which is "" where the group is neither root's nor the daemon's. An
// empty group is not seen by the daemon.
func WritableByGroup(path, group, member string) *refusal.Error {
	e := &refusal.Error{
		Reason: fmt.Sprintf("file is writable by group %q", group),
		Mend:   "chmod g-w " + words.Shell(path),
	}
	switch {
	case group == "":
		e.Reason = "file is writable by a group " + unseen
	case member != "":
		e.Reason += fmt.Sprintf(", and so by %q", member)
	}
	return e
}

// WritableByList refuses a file that an access control list lets a user, or a
// group, rewrite; kind says which. An empty name is not seen by the daemon.
func WritableByList(path, kind, name string) *refusal.Error {
	who := fmt.Sprintf("%s %q", kind, name)
	if name == "" {
		who = "a " + kind + " that the daemon cannot tell (getfacl names it)"
	}
	return &refusal.Error{
		Reason: "file is writable by " + who + ", by its access control list",
		Mend:   "setfacl -b " + words.Shell(path),
	}
}

// ReadOnlyMount makes the refusal e one of what is mounted read-only here, such as
// the folder of a Kubernetes ConfigMap, which is everybody's: what would be right
// elsewhere cannot be done here.
func ReadOnlyMount(e *refusal.Error) *refusal.Error {
	c := *e
	c.Reason += ", though mounted read-only here"
	c.Mend = "copy the handlers (cp -L) to a directory that root alone can write to, and serve that"
	c.Or = []string{
		"mount each file by itself; in Kubernetes, with subPath",
		e.Mend + ", where it is mounted from",
	}
	return &c
}

// Folder makes the refusal e of a file one of the folder at path.
func Folder(path string, e *refusal.Error) *refusal.Error {
	c := *e
	c.Reason = fmt.Sprintf("directory %q", path) + strings.TrimPrefix(e.Reason, "file")
	return &c
}

// Link makes the refusal e of a file one of the symbolic link at path.
func Link(path string, e *refusal.Error) *refusal.Error {
	c := *e
	c.Reason = fmt.Sprintf("symbolic link %q", path) + strings.TrimPrefix(e.Reason, "file")
	c.Mend = strings.Replace(e.Mend, "chown ", "chown -h ", 1)
	return &c
}

// LinkThrough refuses a file that is a symbolic link, for a step on its way.
func LinkThrough(step *refusal.Error) *refusal.Error {
	c := *step
	c.Reason = "file is a symbolic link that others could have led elsewhere: " + step.Reason
	return &c
}

// DeadLink refuses a symbolic link without a file at its end.
func DeadLink() *refusal.Error {
	return &refusal.Error{
		Reason: "file is a symbolic link that leads nowhere",
		Mend:   "let it lead to a handler's file, or remove it and copy the file there",
	}
}

// ForeignOwner refuses a file that belongs to neither root nor daemon, the
// user that plugserverd runs as. An empty owner is not seen by the daemon.
func ForeignOwner(path, owner, daemon string) *refusal.Error {
	reason := fmt.Sprintf("file is owned by %q, who is neither root nor the daemon's user %q", owner, daemon)
	if daemon == "root" {
		reason = fmt.Sprintf("file is owned by %q, not by root", owner)
	}
	if owner == "" {
		reason = "file is owned by a user " + unseen
	}
	return &refusal.Error{Reason: reason, Mend: "chown root " + words.Shell(path)}
}

// TooLarge refuses a file of more than limit bytes.
func TooLarge(limit int64) *refusal.Error {
	return &refusal.Error{
		Reason: "file is larger than the " + words.Bytes(limit) + " that a handler may have",
		Mend:   "build it with -ldflags=-s, or let it read its large data from files of their own",
	}
}

// Unreadable refuses a file that the daemon, whose group is group, could not
// read because of cause.
func Unreadable(path, group string, cause error) *refusal.Error {
	e := &refusal.Error{
		Reason: "file cannot be read: " + words.Errno(cause),
		Mend:   "copy it again, and look for errors of its disk in the kernel's log",
	}
	if errors.Is(cause, fs.ErrPermission) {
		p := words.Shell(path)
		e.Mend = fmt.Sprintf("chgrp %s %s && chmod g+r %s", words.Shell(group), p, p)
	}
	return e
}

// Directory words why the daemon, whose group is group, cannot scan the
// handlers directory dir. The result wraps cause.
func Directory(dir, group string, cause error) error {
	p := words.Shell(dir)
	mend := "look for errors of its disk in the kernel's log"
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		mend = "create it with mkdir -p " + p + ", or name another with --handlers"
	case errors.Is(cause, fs.ErrPermission):
		mend = fmt.Sprintf("let the daemon's group in: chgrp %s %s && chmod g+rx %s", words.Shell(group), p, p)
	case errors.Is(cause, syscall.ENOTDIR):
		mend = "name a directory with --handlers"
	case errors.Is(cause, syscall.EMFILE), errors.Is(cause, syscall.ENFILE):
		mend = "raise LimitNOFILE of plugserverd.service"
	}
	return refusal.Because(
		&refusal.Error{Reason: fmt.Sprintf("read handlers directory %q: %s", dir, words.Errno(cause)), Mend: mend},
		cause,
	)
}
