package handlerdir

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/lstat"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"github.com/andrestc/go-plugserver/internal/file/trust"
	"golang.org/x/sys/unix"
)

// refuse judges what stat(2) and the name of a file tell.
func (r *Rules) refuse(f File, st *unix.Stat_t) *refusal.Error {
	file, mode := filepath.Base(f.Path), lstat.Mode(st.Mode)
	switch {
	case !ValidName(strings.TrimSuffix(file, suffixes[f.Kind])):
		return badfile.BadName(file)
	case !mode.IsRegular():
		return badfile.NotRegular(mode)
	}
	if refused := r.Trust.Writers(f.Path, st); refused != nil {
		return refused
	}
	if st.Size > r.MaxSize {
		return badfile.TooLarge(r.MaxSize)
	}
	return nil
}

// directory words an error that concerns the directory dir.
func (r *Rules) directory(dir string, err error) error {
	return badfile.Directory(dir, trust.GroupName(r.Trust.GID), err)
}

// unreadable words why a file, or an entry of a folder, cannot be read.
func (r *Rules) unreadable(f File, err error) *refusal.Error {
	group := trust.GroupName(r.Trust.GID)
	if inside, ok := errors.AsType[*sourcedir.EntryError](err); ok {
		return badfile.UnreadableInside(inside.Entry, filepath.Join(f.Path, inside.Entry), group, inside.Cause)
	}
	return badfile.Unreadable(f.Path, group, err)
}

// source are the rules for a folder of source.
func (r *Rules) source() sourcedir.Rules { return sourcedir.Rules{Trust: &r.Trust, MaxSize: r.MaxSize} }

// sourceID identifies what was seen of a folder of source.
func sourceID(s sourcedir.State) ID {
	if refused, ok := s.Err.(*refusal.Error); ok {
		return refusedID(refused) // where the look ended is chance
	}
	return ID{Dev: s.Dev, Ino: s.Ino, Size: s.Size, Mtime: s.Mtime, Ctime: s.Ctime, Tree: s.Hash}
}

// refusedID identifies what is refused for more than one file by the refusal:
// other changes do not make it another.
func refusedID(refused *refusal.Error) (id ID) {
	sum := sha256.Sum256([]byte(refused.Error()))
	copy(id.Tree[:], sum[:])
	return id
}
