// Package origins tells which handlers came from a registry, by what plugserverctl sync remembers.
package origins

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/file/synced"
)

// Book reads the records of a folder, and again once one has changed. Any goroutine may call its methods.
type Book struct {
	dir string

	mu      sync.Mutex
	states  map[string]synced.State // of the files, by name
	records map[string]*synced.Record
	err     error
}

// New returns the book of a folder, which need not be there.
func New(dir string) *Book { return &Book{dir: dir} }

// read returns the records, which are not changed.
func (b *Book) read() (map[string]*synced.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := make(map[string]synced.State)
	files, _ := filepath.Glob(filepath.Join(b.dir, "*.json"))
	for _, f := range files {
		if info, err := os.Lstat(f); err == nil {
			states[f] = synced.StateOf(info)
		}
	}
	if b.states == nil || !maps.Equal(states, b.states) {
		b.states = states
		b.records, b.err = synced.All(b.dir)
	}
	return b.records, b.err
}

// Tell adds to a status where its handlers came from.
func (b *Book) Tell(st *api.Status) {
	st.Daemon.SyncFolder = b.dir
	records, err := b.read()
	if err != nil {
		st.Daemon.Notes = append(slices.Clip(st.Daemon.Notes), err.Error())
	}
	st.Daemon.Syncs = syncs(records)
	for i, h := range st.Handlers {
		if h.State != api.StateRetiring {
			st.Handlers[i].Origin = of(records, h.Name)
		}
	}
}

// Of is where a handler's file came from, nil where that is not known.
func (b *Book) Of(handler string) *api.Origin {
	records, _ := b.read()
	return of(records, handler)
}

func of(records map[string]*synced.Record, handler string) *api.Origin {
	for name, r := range records {
		if p := r.Placed[handler]; p.File.Digest != "" { // else it is about to be placed
			return &api.Origin{Sync: name, Ref: r.Ref, Digest: p.Manifest, File: p.File.Digest, Placed: p.Time, Agreed: r.Agreed}
		}
	}
	return nil
}

// Syncs are the entries.
func (b *Book) Syncs() []api.Sync {
	records, _ := b.read()
	return syncs(records)
}

func syncs(records map[string]*synced.Record) (all []api.Sync) {
	for _, name := range slices.Sorted(maps.Keys(records)) {
		all = append(all, told(name, records[name]))
	}
	return all
}

func told(name string, r *synced.Record) api.Sync {
	s := api.Sync{
		Name: name, Ref: r.Ref, Digest: r.Digest, Handlers: len(r.Placed), OK: r.Well(), Agreed: r.Agreed, Tried: r.Tried, Problem: r.Problem,
		Bytes: r.Bytes, Refusals: r.Refusals, Failures: r.Failures,
	}
	for handler, why := range r.Refused {
		if s.Refused == nil {
			s.Refused = make(map[string]api.Refusal)
		}
		s.Refused[handler] = api.Refusal{Reason: why.Reason, Mend: why.Mend, Or: why.Or}
	}
	return s
}
