// Package synced keeps what plugserverctl sync remembers: for each entry, which is a
// desired state in a registry that this machine follows, what was placed of it and how the last try ended.
//
// Each entry has a file of its own, DIR/NAME.json, which is a Record; it appears whole or not at
// all. DIR/NAME.lock is locked while a sync of the entry runs, and DIR/.lock while one changes
// the handlers directory (flock(2)). The daemon reads the records, and never writes one.
package synced

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
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// format is that of the records that are written here.
const format = 1

// maxRecord bounds a record, in bytes: ten thousand handlers have less.
const maxRecord = 16 << 20

// Record is what is remembered of an entry. Fields are added in later versions, never renamed.
type Record struct {
	Format int    `json:"format"`
	Ref    string `json:"ref"` // REGISTRY/REPOSITORY:TAG, or @DIGEST
	// Digest is that of the index that Ref named last, and Desired what that says for this machine, by handler.
	Digest  string          `json:"digest,omitempty"`
	Desired map[string]Want `json:"desired,omitempty"`
	Lacking []string        `json:"lacking,omitempty"` // handlers that it has for other machines alone
	// Placed are the handlers whose files came from there.
	Placed map[string]Placed `json:"placed,omitempty"`
	// Agreed is when what serves was last as Ref says, and AgreedDigest the index that said so.
	Agreed       time.Time `json:"agreed,omitzero"`
	AgreedDigest string    `json:"agreed_digest,omitempty"`
	Tried        time.Time `json:"tried,omitzero"` // when it was tried last
	// Problem is why the last try did not come to an agreement, where no single handler was in the way.
	Problem string `json:"problem,omitempty"`
	// Refused are the handlers that were, in the last try.
	Refused  map[string]Refused `json:"refused,omitempty"`
	Refusals int64              `json:"refusals"`     // ever
	Failures int64              `json:"failures"`     // tries without an agreement, ever
	Bytes    int64              `json:"bytes_pulled"` // ever
}

// Blob is some bytes in a registry.
type Blob struct {
	Digest string `json:"digest"` // sha256: and 64 hex digits
	Size   int64  `json:"size"`
}

// Version is the version of a handler whose file it is.
func (b Blob) Version() string {
	_, hex, _ := strings.Cut(b.Digest, ":")
	return hex[:min(12, len(hex))]
}

// Want is what a handler's files should be.
type Want struct {
	Manifest  string `json:"manifest"` // the digest of its manifest
	File      Blob   `json:"file"`
	Signature Blob   `json:"signature,omitzero"` // zero where there is none
}

// Placed is what a handler's files are, as far as they came from here.
type Placed struct {
	Want
	Time time.Time `json:"time"` // when they were placed
	// Next is what is about to take their place: whoever was interrupted may have placed that already.
	Next *Want `json:"next,omitempty"`
	// Found says that the very file was there before: it is not removed.
	Found bool `json:"found,omitempty"`
	// State is the file's, which is read again only where it is another.
	State State `json:"state,omitzero"`
}

// Ours reports whether a file of that digest came from here.
func (p Placed) Ours(digest string) bool {
	return digest != "" && (digest == p.File.Digest || p.Next != nil && digest == p.Next.File.Digest)
}

// Refused is why a handler was not placed, or did not stay.
type Refused struct {
	File   string    `json:"file"` // the digest of what was refused
	Reason string    `json:"reason"`
	Mend   string    `json:"mend,omitempty"`
	Or     []string  `json:"or,omitempty"`
	Time   time.Time `json:"time"` // when it was refused first
	// Tried says that the daemon refused it, which may have run it for that.
	Tried bool `json:"tried,omitempty"`
}

// State is by what a file is known not to have changed.
type State struct {
	Inode uint64 `json:"inode"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime_ns"`
	Ctime int64  `json:"ctime_ns"`
}

// StateOf is that of a file.
func StateOf(info fs.FileInfo) State {
	st := info.Sys().(*syscall.Stat_t)
	return State{Inode: st.Ino, Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano()}
}

// Well reports whether the last try came to an agreement.
func (r *Record) Well() bool {
	return r.Problem == "" && len(r.Refused) == 0 && !r.Agreed.IsZero() && r.AgreedDigest == r.Digest
}

// Folder is where the records are of the daemon whose folder is state.
func Folder(state string) string { return filepath.Join(state, "sync") }

func path(dir, name string) string { return filepath.Join(dir, name+".json") }

// Load reads the record of an entry; there need be none, which is a blank one. A file that holds
// another thing is an error, and stays as it is.
func Load(dir, name string) (*Record, error) {
	r := new(Record)
	f, err := os.OpenFile(path(dir, name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		r.Format = format
		return r.filled(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was synced: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("read what was synced: %w", err)
	}
	if err := r.parse(text); err != nil {
		return nil, fmt.Errorf("read what was synced, %q: %w", path(dir, name), err)
	}
	return r.filled(), nil
}

const mendRecord = "put it back from a backup, or move it away: the files that it placed are then taken for somebody else's until plugserverctl sync --replace"

func (r *Record) parse(text []byte) error {
	if len(text) > maxRecord {
		return fmt.Errorf("it is larger than any record; %s", mendRecord)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(r); err != nil {
		return fmt.Errorf("it is no record of plugserverctl's (%w); %s", err, mendRecord)
	}
	switch {
	case r.Format > format:
		return fmt.Errorf("a newer plugserverctl has written it, in format %d, and this one reads up to %d; upgrade this one", r.Format, format)
	case r.Format < 1 || dec.More():
		return fmt.Errorf("it is no record of plugserverctl's; %s", mendRecord)
	}
	for _, names := range [][]string{slices.Collect(maps.Keys(r.Desired)), slices.Collect(maps.Keys(r.Placed))} {
		for _, name := range names {
			if !handlerdir.ValidName(name) { // it would be a path elsewhere
				return fmt.Errorf("%q in it can be no handler; %s", name, mendRecord)
			}
		}
	}
	return nil
}

func (r *Record) filled() *Record {
	if r.Desired == nil {
		r.Desired = map[string]Want{}
	}
	if r.Placed == nil {
		r.Placed = map[string]Placed{}
	}
	return r
}

// Save writes the record of an entry.
func (r *Record) Save(dir, name string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	f, err := atomicfile.Create(dir, "."+name+".", 0o644)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	return f.Commit(path(dir, name))
}

// Forget deletes what is remembered of an entry, which the caller has locked.
func Forget(dir, name string) error {
	if err := os.Remove(path(dir, name)); err != nil {
		return err
	}
	if err := os.Remove(lockPath(dir, name)); err != nil {
		return err
	}
	return atomicfile.SyncDir(dir)
}

// All are the records in a folder, by entry, and an error for each that cannot be read. A
// folder that is not there has none.
func All(dir string) (map[string]*Record, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	errs := []error{err}
	all := make(map[string]*Record)
	for _, f := range files {
		name, is := strings.CutSuffix(f.Name(), ".json")
		if !is || !handlerdir.ValidName(name) {
			continue
		}
		r, err := Load(dir, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all[name] = r
	}
	return all, errors.Join(errs...)
}
