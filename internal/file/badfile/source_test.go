package badfile

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

func TestSourceRefusalsTellReasonAndMend(t *testing.T) {
	const smaller = "keep in it what go build reads, and move what else it holds elsewhere"
	for _, tt := range []struct {
		got          *refusal.Error
		reason, mend string
	}{
		{Duplicate([]string{"a.so", "a.go"}), "there are both a.so and a.go", "remove one of them"},
		{Duplicate([]string{"a.go", "a/"}), "there are both a.go and a/", "remove one of them"},
		{Duplicate([]string{"a b.so", "a b.go", "a b/"}), `there are "a b.so", "a b.go" and "a b/"`, "remove all but one of them"},
		{EmptySource(), "file is empty", "write a Go package main that has func Handler() (string, func(http.ResponseWriter, *http.Request))"},
		{SourceFolderName("a.go"), "folder a.go is named like a Go file", "rename it: the folder of a Go package is named as its handler, without .go"},
		{Inside("sub/x.go", WritableByOthers("/h/a/sub/x.go")), "sub/x.go is writable by others", "chmod o-w /h/a/sub/x.go"},
		{Inside(".", WritableByGroup("/h/a", "games", "")), `folder is writable by group "games"`, "chmod g-w /h/a"},
		{Inside("x\n.go", ForeignOwner("/h/a/x\n.go", "eve", "root")), `"x\n.go" is owned by "eve", not by root`, "chown root '/h/a/x\n.go'"},
		{ForeignOwner("/h/a.so", "", "plugserver"), "file is owned by a user " + unseen, "chown root /h/a.so"},
		{WritableByGroup("/h/a.so", "", ""), "file is writable by a group " + unseen, "chmod g-w /h/a.so"},
		{UnreadableInside("sub", "/h/a/sub", "plugserver", syscall.EACCES), "sub cannot be read: permission denied",
			"chgrp plugserver /h/a/sub && chmod g+rX /h/a/sub"},
		{UnreadableInside(".", "/h/a", "plugserver", syscall.EIO), "folder cannot be read: input/output error",
			"copy it again, and look for errors of its disk in the kernel's log"},
		{NotSource("sub/l", fs.ModeSymlink), "sub/l is a symbolic link: source is regular files and folders", "replace it with a copy of what it points to"},
		{NotSource("p", fs.ModeNamedPipe), "p is a named pipe: source is regular files and folders", "remove it"},
		{TreeTooMany(5000), "folder has more than 5000 files and folders in it", smaller},
		{TreeTooDeep(32), "folder has folders in it more than 32 deep", smaller},
		{TreeTooLarge(256 << 20), "folder has more than 256 MiB of files in it", smaller},
		{SourceOff("/h/a b.go"), "source is not compiled: --build is off",
			"build it elsewhere: mv '/h/a b.go' ~/ && plugserverctl install ~/'a b.go'"},
		{SourceAsRoot("/h/a"), "source is never compiled as root",
			"build it elsewhere: mv /h/a ~/ && plugserverctl install ~/a"},
		{SourceThere("/h/a.go", "a.so"), "/h/a.go is in the handlers directory, and a.so may not be beside it",
			"build it elsewhere: mv /h/a.go ~/ && plugserverctl install ~/a.go"},
		{BadName("-x.go"), `file name "-x.go" cannot name a handler`, "rename it: a letter or digit, then at most 99 of letters, digits, '.', '_' and '-', then .go"},
		{BadName("-x.y"), `file name "-x.y" cannot name a handler`, "rename it: a letter or digit, then at most 99 of letters, digits, '.', '_' and '-'"},
	} {
		if tt.got.Reason != tt.reason || tt.got.Mend != tt.mend {
			t.Errorf("got  %q; %q\nwant %q; %q", tt.got.Reason, tt.got.Mend, tt.reason, tt.mend)
		}
	}
}
