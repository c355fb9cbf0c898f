package plan

import (
	"cmp"
	"slices"
)

// A pattern changes hands in one table. Whoever is about to give one up, because
// its file is gone or because its next version does without, serves it until
// all who may want it were tried. Then those proved and those who leave are decided
// on together.

// Candidate is a handler, as far as it matters to who may want a pattern.
type Candidate struct {
	Stake
	File    File // the newest
	Missed  bool // its file is not there, and may be again in a moment
	Trying  Trying
	Seq     int64 // lower for a handler that went live earlier, 0 for one that never did
	Wanting int64 // since when it wants patterns that others have, in any unit; 0 if it does not
}

// File identifies a file by whatever name; zero for none.
type File struct{ Dev, Ino uint64 }

// Trying is how a newest file is being tried.
type Trying int

const (
	Tried  Trying = iota // it was, or waits to be for longer
	Builds               // something is built for it, which may take long
	Tries                // it is being tried, or about to be, and will have been in a moment
)

// UnderWay reports whether someone may yet turn out to want what another gives up.
func UnderWay(all []Candidate) bool {
	renamed := leavingFiles(all)
	return slices.ContainsFunc(all, func(c Candidate) bool {
		return c.Missed && len(c.Has) > 0 || // it leaves, or it does not
			c.Trying == Tries || c.Trying == Builds && renamed[c.File]
	})
}

// BeingBuilt reports whether the file, by whatever name, is being built: whoever left with
// it may have been renamed.
func BeingBuilt(file File, all []Candidate) bool {
	return slices.ContainsFunc(all, func(c Candidate) bool { return c.Trying == Builds && c.File == file })
}

// leavingFiles are the files of those who leave: one that turns up by another
// name was renamed.
func leavingFiles(all []Candidate) map[File]bool {
	files := make(map[File]bool)
	for _, c := range all {
		if c.Leaves && len(c.Has) > 0 && c.File.Ino != 0 {
			files[c.File] = true
		}
	}
	return files
}

// Rank sorts the candidates, the first in line for a free pattern first: a file
// that was renamed, then one that has served, then whoever wants it longest.
func Rank(all []Candidate) {
	renamed := leavingFiles(all)
	class := func(c Candidate) int {
		switch {
		case renamed[c.File]:
			return 0
		case c.Seq > 0:
			return 1
		}
		return 2
	}
	slices.SortFunc(all, func(a, b Candidate) int {
		return cmp.Or(
			cmp.Compare(class(a), class(b)), cmp.Compare(a.Seq, b.Seq),
			cmp.Compare(a.Wanting, b.Wanting), cmp.Compare(a.Name, b.Name),
		)
	})
}
