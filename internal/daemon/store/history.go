package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
)

const (
	historyFile   = "history.json"
	historyFormat = 1
	KeptVersions  = 3 // of one handler, to go back to
)

// History is what went live, by handler name. It decides who keeps a
// contested pattern after a restart, and what there is to roll back to.
type History map[string]Record

// Record is one handler's past.
type Record struct {
	// Seq is the handler's seniority: the lower went live earlier.
	Seq      int64    `json:"seq"`
	Patterns []string `json:"patterns"` // of the newest version
	// Versions are the newest last; an earlier one that serves again keeps its
	// place. SaveHistory keeps the last 3.
	Versions []Served `json:"versions"`
	// Serves is the sum of the one that is live.
	Serves string `json:"serves,omitempty"`
	// Bad are the sums of versions that crashed too often, of those there
	// are copies or files of.
	Bad []string `json:"bad,omitempty"`
	// Held is the sum of the newest file where an operator has rolled it back.
	Held string `json:"held,omitempty"`
}

// Served is one version that was live.
type Served struct {
	Sum  string    `json:"sum"`  // of its copy, see Version
	Live time.Time `json:"live"` // when it last went live
}

// historyDocument is the file's content.
type historyDocument struct {
	Format   int     `json:"format"`
	Handlers History `json:"handlers"`
}

// LoadHistory returns the history that SaveHistory saved last, an empty one if
// there is none. The History is usable whatever the error. A file that makes no
// sense is renamed to history.json.corrupt, and the error says so.
func (s *Store) LoadHistory() (History, error) {
	path := filepath.Join(s.dir, historyFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return History{}, nil
	}
	if err != nil {
		return History{}, fmt.Errorf("read history: %w", err)
	}
	h, err := decodeHistory(data)
	if err != nil {
		err = fmt.Errorf("read history %q: %w; it is set aside as %s.corrupt and a new one begun", path, err, historyFile)
		if e := os.Rename(path, path+".corrupt"); e != nil {
			err = errors.Join(err, e)
		}
		return History{}, err
	}
	return h, nil
}

// SaveHistory replaces the saved history. Once it returns nil, h survives a
// crash of the machine; if it fails, what was saved before is still there. It
// does not change h.
func (s *Store) SaveHistory(h History) error {
	data, err := encodeHistory(h)
	if err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	f, err := atomicfile.Create(s.dir, tempPrefix, 0o600)
	if err != nil {
		return fmt.Errorf("save history: %w", s.writeError(err))
	}
	defer f.Discard()
	if _, err = s.write(f.File, data); err == nil {
		err = f.Commit(filepath.Join(s.dir, historyFile))
	}
	if err != nil {
		return fmt.Errorf("save history: %w", s.writeError(err))
	}
	return nil
}

func encodeHistory(h History) ([]byte, error) {
	kept := make(History, len(h))
	for name, r := range h {
		r.Versions = r.Versions[max(0, len(r.Versions)-KeptVersions):]
		kept[name] = r
	}
	data, err := json.MarshalIndent(historyDocument{historyFormat, kept}, "", "\t")
	return append(data, '\n'), err
}

func decodeHistory(data []byte) (History, error) {
	var doc historyDocument
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if doc.Format != historyFormat {
		return nil, fmt.Errorf("its format is %d, want %d", doc.Format, historyFormat)
	}
	if doc.Handlers == nil {
		return nil, errors.New("it has no handlers")
	}
	for name, r := range doc.Handlers {
		for _, v := range r.Versions {
			if !sumPattern.MatchString(v.Sum) {
				return nil, fmt.Errorf("handler %q: %q is no SHA-256 sum", name, v.Sum)
			}
		}
	}
	return doc.Handlers, nil
}
