package handlerdir

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
)

// A Kind is what a candidate is to be read as.
type Kind uint8

const (
	Plugin    Kind = iota // NAME.so, a compiled plugin
	GoFile                // NAME.go, a Go package of one file
	GoPackage             // NAME/, a folder with a Go package at its top
)

// suffixes are what a candidate's name in the directory ends with.
var suffixes = [...]string{Plugin: ".so", GoFile: ".go", GoPackage: ""}

// kind tells what a name in the directory would be, if it is anything.
func (r *Rules) kind(file string) (k Kind, candidate bool) {
	switch {
	case file[0] == '.':
		return 0, false
	case strings.HasSuffix(file, suffixes[Plugin]):
		return Plugin, true
	case r.SourceQuiet <= 0 || file[0] == '_' || sourcedir.Temporary(file):
		return 0, false
	case strings.HasSuffix(file, suffixes[GoFile]):
		return GoFile, !strings.HasSuffix(file, "_test.go")
	}
	return GoPackage, true
}

// libraryName reports whether a candidate is named as libraries are.
func libraryName(file string) bool {
	return strings.HasPrefix(file, "lib") && strings.HasSuffix(file, suffixes[Plugin])
}

// handlerName quotes a name that no handler may have. No valid name begins
// with a quote and quoting loses nothing, so names stay unique.
func handlerName(file string, k Kind) string {
	name := strings.TrimSuffix(file, suffixes[k])
	if !ValidName(name) {
		return strconv.QuoteToASCII(name)
	}
	return name
}

// ValidName reports whether name, a file's without ".so" or ".go", can name a
// handler: a letter or digit, then at most 99 of letters, digits, '.', '_' and
// '-'.
func ValidName(name string) bool {
	for i := range len(name) {
		c := name[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return 1 <= len(name) && len(name) <= 100
}

// unique makes one file of those of one name, which follow each other. It uses
// the memory of files.
func unique(files []File) []File {
	if len(files) == 0 {
		return nil // whatever room there was for some
	}
	all := files[:0]
	for len(files) > 0 {
		n := 1
		for n < len(files) && files[n].Name == files[0].Name {
			n++
		}
		all = append(all, one(files[:n]))
		files = files[n:]
	}
	return all
}

// one makes one file of those of one name. While one of them may be gone or
// may not, they wait.
func one(claims []File) File {
	if len(claims) == 1 {
		return claims[0]
	}
	f, present := claims[0], []string(nil)
	for _, c := range claims {
		if c.gone.IsZero() {
			if len(present) == 0 {
				f = c
			}
			name := filepath.Base(c.Path)
			if c.Kind == GoPackage {
				name += "/"
			}
			present = append(present, name)
		}
	}
	f.Settled, f.Refusal, f.final, f.claims = false, nil, false, slices.Clone(claims)
	if len(present) > 1 {
		f.Refusal = badfile.Duplicate(present)
		f.ID = refusedID(f.Refusal)
	}
	return f
}
