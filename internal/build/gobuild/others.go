package gobuild

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/file/lstat"
	"github.com/andrestc/go-plugserver/internal/file/trust"
	"golang.org/x/sys/unix"
)

// asRoot refuses source that root does not compile.
func asRoot(src Source) *refusal.Error {
	if os.Geteuid() != 0 {
		return nil
	}
	return ofOthers(src, &trust.Rules{})
}

// ofOthers refuses source that others could have written than those whom the rules trust: compilers read what
// it names (#include), and their words would quote files of root's that are none of its author's.
func ofOthers(src Source, rules *trust.Rules) *refusal.Error {
	tops := []string{src.Path}
	if src.InPlace {
		if mod := above(src.Path, "go.mod"); mod != "" {
			tops[0] = filepath.Dir(mod)
		}
		if work := above(src.Path, "go.work"); work != "" {
			tops = append(tops, work)
		}
	}
	for _, top := range tops {
		if refused := writers(rules, top); refused != nil {
			return badbuild.SourceOfOthers(src.As, refused.Reason)
		}
	}
	return nil
}

// above is the nearest file of that name in dir or above it, "" if there is none.
func above(dir, name string) string {
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// writers judges all that is at path, a file or a folder, and the way there. What is not there is for others to say.
func writers(rules *trust.Rules, path string) (refused *refusal.Error) {
	real, _, refused, err := rules.Follow(path)
	if err != nil || refused != nil {
		return refused
	}
	filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err != nil || lstat.Path(path, &st) != nil || d.Type()&fs.ModeSymlink != 0 && st.Uid == 0 {
			return nil
		}
		if refused = rules.Writers(path, &st); refused != nil {
			refused.Reason = path + ": " + refused.Reason
			return fs.SkipAll
		}
		return nil
	})
	return refused
}
