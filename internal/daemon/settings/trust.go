package settings

import (
	"github.com/andrestc/go-plugserver/internal/daemon/signers"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// Trust is what [Trust] says. The caller does not change it.
func (s *Settings) Trust() signature.Policy { return s.trust }

// Suspect is what [Trust] of files with faults says, for a daemon that starts with them: what else they say does not hold, but
// a fault in some line does not have what is not signed served. Where the fault is in [Trust], nothing else is.
func Suspect(path string) *Settings {
	s := blank()
	files, _ := dropIns(path)
	for _, file := range append([]string{path}, files...) {
		text, _ := read(file)
		s.apply(file, text)
	}
	if s.distrust || signers.Finish(s.trust) != nil {
		s.trust.Require = true
	}
	return &Settings{trust: s.trust}
}
