package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
)

const (
	historyFile   = "history.json"
	changesFile   = "history.log"
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
	// place. What is saved keeps the last 3.
	Versions []Served `json:"versions"`
	// Serves is the sum of the one that is live.
	Serves string `json:"serves,omitempty"`
	// Bad are the sums of versions that crashed too often, of those there
	// are copies or files of.
	Bad []string `json:"bad,omitempty"`
	// Why has the reasons for that, by sum; none of what an earlier release of plugserver gave up.
	Why map[string]string `json:"why,omitempty"`
	// Held is the sum of the newest file where an operator has rolled it back.
	Held       string      `json:"held,omitempty"`
	Superseded string      `json:"superseded,omitempty"` // that of the newest file whose place a canary has taken
	Canary     canary.Past `json:"canary,omitzero"`
	// Newest is what the newest signature says that was served. It outlives the rest, so that no
	// older version is served behind a file that was removed.
	Newest Mark `json:"newest,omitzero"`
}

// Mark is a place in the order of signed versions (signature.Compare).
type Mark struct {
	Version string `json:"version,omitempty"`
	Time    int64  `json:"time,omitempty"` // seconds since the epoch
}

// Find returns the versions of these sums, as far as the record tells.
func (r Record) Find(sums ...string) (all []Version) {
	for _, sum := range sums {
		v := Version{Sum: sum}
		for _, s := range r.Versions {
			if s.Sum == sum {
				v.Signature = s.Signature
			}
		}
		all = append(all, v)
	}
	return all
}

// Changes are records that are others than before, by handler name; nil: there is none
// any more.
type Changes map[string]*Record

func (h History) apply(c Changes) {
	for name, r := range c {
		if r == nil {
			delete(h, name)
		} else {
			h[name] = r.kept()
		}
	}
}

// kept is what is saved of a record.
func (r Record) kept() Record {
	r.Versions = r.Versions[max(0, len(r.Versions)-KeptVersions):]
	return r
}

// Served is one version that was live.
type Served struct {
	Sum  string    `json:"sum"`  // of its copy, see Version
	Live time.Time `json:"live"` // when it last went live
	// Signature is Version's.
	Signature string `json:"signature,omitempty"`
}

// historyDocument is the file's content.
type historyDocument struct {
	Format   int     `json:"format"`
	Handlers History `json:"handlers"`
}

// LoadHistory returns the history that was saved last, an empty one if
// there is none. The History is usable whatever the error. A file that makes no
// sense is renamed to history.json.corrupt, and the error says so.
func (s *Store) LoadHistory() (History, error) {
	h, err := s.loadDocument()
	log, e := os.ReadFile(s.changes())
	if e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("read history: %w", e))
	}
	s.logged = replay(h, log)
	s.past = make(History, len(h))
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range h { // the caller may change its own
		r.Patterns, r.Versions, r.Bad = slices.Clone(r.Patterns), slices.Clone(r.Versions), slices.Clone(r.Bad)
		r.Why = maps.Clone(r.Why)
		s.past[name] = r
		s.loose.renamed(nil, r.Versions)
	}
	return h, err
}

func (s *Store) changes() string { return filepath.Join(s.dir, changesFile) }

func (s *Store) loadDocument() (History, error) {
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

// replay makes the changes in a log that were written whole, and returns how long
// those are in bytes. It may hold changes that h has already: the last of each handler
// is the one that counts.
func replay(h History, log []byte) (size int64) {
	for {
		line, rest, whole := bytes.Cut(log, []byte("\n"))
		var c Changes
		if !whole || json.Unmarshal(line, &c) != nil {
			return size
		}
		for _, r := range c {
			if r != nil && r.check() != nil {
				return size
			}
		}
		h.apply(c)
		size += int64(len(line)) + 1
		log = rest
	}
}

// maxLog is how long the log of changes grows, in bytes, before the history is
// written whole; or as long as that is.
const maxLog = 256 << 10

// SaveHistory changes the saved history, which LoadHistory has read. Once it returns
// nil, the changes survive a crash of the machine; if it fails, what was saved before is
// still there. One goroutine at a time may call it.
func (s *Store) SaveHistory(c Changes) error {
	kept := make(Changes, len(c))
	for name, r := range c {
		if r != nil {
			k := r.kept()
			r = &k
		}
		kept[name] = r
	}
	line, err := json.Marshal(kept)
	if err == nil {
		err = s.log(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save history: %w", s.writeError(err))
	}
	s.mu.Lock()
	for name, r := range kept {
		var now []Served
		if r != nil {
			now = r.Versions
		}
		s.loose.renamed(s.past[name].Versions, now)
	}
	s.mu.Unlock()
	s.past.apply(kept)
	if s.logged > max(maxLog, s.document) {
		return s.CompactHistory()
	}
	return nil
}

// log writes a line behind those that count.
func (s *Store) log(line []byte) (err error) {
	f, err := os.OpenFile(s.changes(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(s.logged); err != nil { // a line that could not be written whole
		return err
	}
	if _, err := f.Seek(s.logged, io.SeekStart); err != nil {
		return err
	}
	if _, err := s.write(f, line); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if s.logged == 0 {
		if err := atomicfile.SyncDir(s.dir); err != nil {
			return err
		}
	}
	s.logged += int64(len(line))
	return nil
}

// CompactHistory writes the history whole, and ends the log of its changes.
func (s *Store) CompactHistory() error {
	if s.logged == 0 {
		return nil
	}
	data, err := encodeHistory(s.past)
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
	if err == nil {
		s.document = int64(len(data))
		err = os.Remove(s.changes())
	}
	if err != nil {
		return fmt.Errorf("save history: %w", s.writeError(err))
	}
	s.logged = 0
	return nil
}

func encodeHistory(h History) ([]byte, error) {
	kept := make(History, len(h))
	for name, r := range h {
		kept[name] = r.kept()
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
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("handler %q: %w", name, err)
		}
	}
	return doc.Handlers, nil
}

func (r Record) check() error {
	for _, v := range r.Versions {
		if !isSum(v.Sum) {
			return fmt.Errorf("%q is no SHA-256 sum", v.Sum)
		}
	}
	return nil
}
