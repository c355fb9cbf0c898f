package badfile

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/words"
)

// Duplicate refuses files of one name, of which one alone can be the handler.
// A folder is written with a slash at its end.
func Duplicate(files []string) *refusal.Error {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = words.Quote(f)
	}
	last := len(quoted) - 1
	e := &refusal.Error{
		Reason: "there are " + strings.Join(quoted[:last], ", ") + " and " + quoted[last],
		Mend:   "remove all but one of them",
	}
	if len(files) == 2 {
		e.Reason = "there are both " + quoted[0] + " and " + quoted[1]
		e.Mend = "remove one of them"
	}
	return e
}

// EmptySource refuses a source file without content.
func EmptySource() *refusal.Error {
	return &refusal.Error{Reason: "file is empty", Mend: "write a Go package main that has " + refusal.Shortest}
}

// SourceFolderName refuses a folder of Go source that is named like a file.
func SourceFolderName(name string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("folder %s is named like a Go file", words.Quote(name)),
		Mend:   "rename it: the folder of a Go package is named as its handler, without .go",
	}
}

// Inside makes the refusal e of a file one of an entry in a folder of source.
// The entry is named by its path in the folder, which itself is ".".
func Inside(entry string, e *refusal.Error) *refusal.Error {
	return &refusal.Error{Reason: entryWord(entry) + strings.TrimPrefix(e.Reason, "file"), Mend: e.Mend}
}

// UnreadableInside refuses a folder of source for an entry, at path, that the
// daemon, whose group is group, could not read because of cause.
func UnreadableInside(entry, path, group string, cause error) *refusal.Error {
	e := Inside(entry, Unreadable(path, group, cause))
	e.Mend = strings.Replace(e.Mend, "chmod g+r ", "chmod g+rX ", 1) // a folder is to be searched, too
	return e
}

// NotSource refuses a folder of source for an entry that is neither a folder
// nor a regular file; mode tells what it is.
func NotSource(entry string, mode fs.FileMode) *refusal.Error {
	kind, mend := special(mode), "remove it"
	if mode&fs.ModeSymlink != 0 {
		mend = "replace it with a copy of what it points to"
	}
	return &refusal.Error{Reason: entryWord(entry) + " is " + kind + ": source is regular files and folders", Mend: mend}
}

const smallerTree = "keep in it what go build reads, and move what else it holds elsewhere"

// TreeTooMany refuses a folder of source of more than limit files and folders.
func TreeTooMany(limit int) *refusal.Error {
	return &refusal.Error{Reason: fmt.Sprintf("folder has more than %d files and folders in it", limit), Mend: smallerTree}
}

// TreeTooDeep refuses a folder of source with folders in each other more than
// limit deep.
func TreeTooDeep(limit int) *refusal.Error {
	return &refusal.Error{Reason: fmt.Sprintf("folder has folders in it more than %d deep", limit), Mend: smallerTree}
}

// TreeTooLarge refuses a folder of source with more than limit bytes of files.
func TreeTooLarge(limit int64) *refusal.Error {
	return &refusal.Error{Reason: "folder has more than " + words.Bytes(limit) + " of files in it", Mend: smallerTree}
}

// SourceOff refuses source, at path, that the daemon is told not to compile.
func SourceOff(path string) *refusal.Error {
	return &refusal.Error{
		Reason: "source is not compiled: --build is off",
		Mend:   moveAndInstall(path),
		Or: []string{"let plugserverd compile it: set PLUGSERVER_BUILD=auto in /etc/default/plugserverd, let the service run Go " +
			"(building.conf among the package's examples), and systemctl restart plugserverd"},
	}
}

// SourceAsRoot refuses source, at path, that would be compiled as root.
func SourceAsRoot(path string) *refusal.Error {
	return &refusal.Error{
		Reason: "source is never compiled as root",
		Mend:   moveAndInstall(path),
		Or:     []string{"run plugserverd as a user of its own, as its package does"},
	}
}

// SourceThere says that a compiled file may not be put beside the source, at
// path, of the same handler.
func SourceThere(path, file string) *refusal.Error {
	return &refusal.Error{
		Reason: fmt.Sprintf("%s is in the handlers directory, and %s may not be beside it", path, file),
		Mend:   moveAndInstall(path),
	}
}

// moveAndInstall builds source that lies in the handlers directory. There it
// cannot stay: of a file and its source only one may be there.
func moveAndInstall(source string) string {
	return "build it elsewhere: mv " + words.Shell(source) + " ~/ && plugserverctl install ~/" + words.Shell(path.Base(source))
}

// entryWord names an entry of a folder by its path in it.
func entryWord(entry string) string {
	if entry == "." {
		return "folder"
	}
	return words.Quote(entry)
}
