package badfile

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

func TestFileRefusalsTellReasonAndMend(t *testing.T) {
	denied := &fs.PathError{Op: "open", Path: "/h/a.so", Err: syscall.EACCES}
	for _, tt := range []struct {
		got          *refusal.Error
		reason, mend string
	}{
		{HalfCopied(0, 0), "file is empty", "copy it again, to a name without .so first, and rename that when it is whole"},
		{HalfCopied(10, 20), "file is half-copied: it ends at byte 10 of 20", "copy it again"},
		{HalfCopied(10, 0), "file is half-copied: it ends at byte 10", "copy it again"},
		{HalfCopied(20, 10), "file is half-copied: it has its 20 bytes, but not their content", "copy it again"},
		{BadName("-x\n.so"), `file name "-x\n.so" cannot name a handler`, "rename it"},
		{NotRegular(fs.ModeSymlink), "file is a symbolic link, not a regular file", "replace it with a copy"},
		{NotRegular(fs.ModeDir), "file is a directory, not a regular file", "folders in it are not searched"},
		{NotRegular(fs.ModeNamedPipe), "file is a named pipe, not a regular file", "remove it"},
		{NotRegular(fs.ModeSocket), "file is a socket, not a regular file", "remove it"},
		{NotRegular(fs.ModeDevice | fs.ModeCharDevice), "file is a device, not a regular file", "remove it"},
		{WritableByOthers("/h/a b.so"), "file is writable by others", "chmod o-w '/h/a b.so'"},
		{WritableByGroup("/h/a.so", "games", ""), `file is writable by group "games"`, "chmod g-w /h/a.so"},
		{WritableByGroup("/h/a.so", "plugserver", "eve"), `file is writable by group "plugserver", and so by "eve"`, "chmod g-w /h/a.so"},
		{WritableByList("/h/a.so", "user", "eve"), `file is writable by user "eve", by its access control list`, "setfacl -b /h/a.so"},
		{Folder("/h", WritableByOthers("/h")), `directory "/h" is writable by others`, "chmod o-w /h"},
		{Link("/h/x", ForeignOwner("/h/x", "eve", "root")), `symbolic link "/h/x" is owned by "eve", not by root`, "chown -h root /h/x"},
		{ReadOnlyMount(Folder("/h", WritableByOthers("/h"))), `directory "/h" is writable by others, though mounted read-only here`, "copy the handlers (cp -L) to a directory that root alone can write to, and serve that"},
		{LinkThrough(Folder("/t", WritableByOthers("/t"))), `file is a symbolic link that others could have led elsewhere: directory "/t" is writable by others`, "chmod o-w /t"},
		{ForeignOwner("/h/a.so", "eve", "plugserver"), `file is owned by "eve", who is neither root nor the daemon's user "plugserver"`, "chown root /h/a.so"},
		{ForeignOwner("/h/it's.so", "eve", "root"), `file is owned by "eve", not by root`, `chown root '/h/it'\''s.so'`},
		{TooLarge(256 << 20), "file is larger than the 256 MiB that a handler may have", "-ldflags=-s"},
		{TooLarge(1000), "file is larger than the 1000 bytes that a handler may have", "-ldflags=-s"},
		{Unreadable("/h/a.so", "plugserver", denied), "file cannot be read: permission denied", "chgrp plugserver /h/a.so && chmod g+r /h/a.so"},
		{AlteredCopy("0123"), "the copy of version 0123 in the store is not what it was: the disk, or a handler outside of a sandbox, has changed it", "copy NAME.so again"},
		{Unsigned(), "not signed: there is no signature (.minisig) beside it, and [Trust] has Require=yes", "plugserverctl sign NAME.so"},
		{UnsignedSource(), "source is not signed, and [Trust] has Require=yes", "build it with plugserverctl build"},
		{NoSignature("bad\n"), `its signature (.minisig) is none of minisign's: "bad\n"`, "plugserverctl sign NAME.so"},
		{OtherHandler("a", "b"), "signed for the handler a, not for b", "rename both files to a.so, or have it signed for this one: plugserverctl sign --handler b NAME.so"},
		{Replayed("version 3", "version 4"), "older than what was served: it is version 3, and there was version 4", "plugserverctl rollback"},
		{Unreadable("/h/a.so", "plugserver", syscall.EIO), "file cannot be read: input/output error", "kernel's log"},
	} {
		if tt.got.Reason != tt.reason || !strings.Contains(tt.got.Mend, tt.mend) {
			t.Errorf("got  %q; %q\nwant %q; … %q", tt.got.Reason, tt.got.Mend, tt.reason, tt.mend)
		}
	}
}

func TestCausedRefusalsAnswerForTheirCause(t *testing.T) {
	missing := &fs.PathError{Op: "open", Path: "/h", Err: syscall.ENOENT}
	for _, tt := range []struct {
		err  error
		is   error
		text string
	}{
		{Directory("/h", "plugserver", missing), fs.ErrNotExist, `read handlers directory "/h": no such file or directory; create it with mkdir -p /h, or name another with --handlers`},
		{Directory("/h", "plugserver", syscall.EACCES), fs.ErrPermission, `read handlers directory "/h": permission denied; let the daemon's group in: chgrp plugserver /h && chmod g+rx /h`},
		{Directory("/h", "plugserver", syscall.ENOTDIR), syscall.ENOTDIR, `read handlers directory "/h": not a directory; name a directory with --handlers`},
		{refusal.Full("/s", syscall.ENOSPC), syscall.ENOSPC, `write to store "/s": no space left on device; free some space there (df /s): the file is tried again by itself`},
	} {
		err := fmt.Errorf("scan: %w", tt.err)
		if tt.err.Error() != tt.text {
			t.Errorf("got  %s\nwant %s", tt.err, tt.text)
		}
		if !errors.Is(err, tt.is) {
			t.Errorf("%v is not %v", err, tt.is)
		}
		if got := refusal.From(err); got.Error() != tt.text {
			t.Errorf("refusal.From(%v) = %v", err, got)
		}
	}
}
