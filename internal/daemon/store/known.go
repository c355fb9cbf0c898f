package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// State is what stat(2) says of a file: whoever changes the file changes that. Times are
// in nanoseconds since the epoch.
type State struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64
}

// entry is a copy that was read whole, in that state.
type entry struct {
	copy State
	from State // of the file that it was copied from; zero if of none
}

// known is what is known of copies without reading them. It is written down, for the
// next daemon: until the machine is started again. A crash of that may lose content
// and leave the states.
type known struct {
	path string
	boot string // "" where it is not known: then nothing is written down

	mu      sync.Mutex // guards the rest
	copies  map[string]entry
	sums    map[State]string // of files that were copied
	untried map[string]bool  // copies that a daemon before has read
	begun   bool             // this daemon has written the file
	doubted bool             // nothing is known of a copy without reading it
	lines   int              // in it
}

const knownFile = "known"

// bootID tells one start of the machine from another.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

func loadKnown(dir string) *known {
	k := &known{
		path: filepath.Join(dir, knownFile), boot: bootID(),
		copies: make(map[string]entry), sums: make(map[State]string), untried: make(map[string]bool),
	}
	text, _ := os.ReadFile(k.path) // what is not known is read again
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); k.lines++ {
		if sum, e, ok := k.parse(lines.Text()); ok {
			k.set(sum, e)
		}
	}
	for sum := range k.copies {
		k.untried[sum] = true
	}
	return k
}

// line is an entry as it is written: complete where its last word is a dot.
func (k *known) line(sum string, e entry) string {
	return fmt.Sprintf("%s %s %d %d %d %d %d %d %d %d %d %d .\n", k.boot, sum, e.copy.Dev, e.copy.Ino, e.copy.Size, e.copy.Mtime, e.copy.Ctime,
		e.from.Dev, e.from.Ino, e.from.Size, e.from.Mtime, e.from.Ctime)
}

func (k *known) parse(line string) (sum string, e entry, ok bool) {
	var boot, end string
	_, err := fmt.Sscan(line, &boot, &sum, &e.copy.Dev, &e.copy.Ino, &e.copy.Size, &e.copy.Mtime, &e.copy.Ctime,
		&e.from.Dev, &e.from.Ino, &e.from.Size, &e.from.Mtime, &e.from.Ctime, &end)
	return sum, e, err == nil && end == "." && k.boot != "" && boot == k.boot && isSum(sum)
}

func (k *known) set(sum string, e entry) {
	k.forget(sum)
	k.copies[sum] = e
	if e.from != (State{}) {
		k.sums[e.from] = sum
	}
}

func (k *known) forget(sum string) {
	if e, ok := k.copies[sum]; ok {
		delete(k.copies, sum)
		if k.sums[e.from] == sum {
			delete(k.sums, e.from)
		}
	}
	delete(k.untried, sum)
}

// write writes one entry down, or all where the file has grown. What fails costs the
// next daemon a look.
func (k *known) write(sum string, e entry) {
	if k.boot == "" || k.doubted {
		return
	}
	text, how := k.line(sum, e), os.O_APPEND
	if !k.begun || k.lines > 2*len(k.copies)+1000 {
		var all strings.Builder
		for sum, e := range k.copies {
			all.WriteString(k.line(sum, e))
		}
		text, how, k.lines, k.begun = all.String(), os.O_TRUNC, len(k.copies), true
	}
	f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|how, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	f.WriteString(text)
	k.lines++
}

// Doubt has no copy be believed from now on, by no later daemon neither: others than this may have written
// to the store. Each is read whole whenever it is looked for.
func (s *Store) Doubt() error {
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	s.known.doubted = true
	clear(s.known.untried)
	if err := os.Remove(s.known.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget what is known of the store: %w", err)
	}
	return nil
}

// Learn takes note that the copy was read whole just now, and of the file that it is a
// copy of; from is zero where there is none.
func (s *Store) Learn(from State, v Version) {
	is, err := stateOf(v.Path)
	if err != nil {
		return
	}
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	if from == (State{}) {
		from = s.known.copies[v.Sum].from
	}
	e := entry{is, from}
	s.known.set(v.Sum, e)
	s.known.write(v.Sum, e)
}

// Known returns the copy of a file that is in the state from, without reading either.
func (s *Store) Known(from State) (Version, bool) {
	s.known.mu.Lock()
	sum, ok := s.known.sums[from]
	s.known.mu.Unlock()
	if !ok {
		return Version{}, false
	}
	return s.unread(sum)
}

// unread returns a copy that is as it was when it was read.
func (s *Store) unread(sum string) (Version, bool) {
	s.known.mu.Lock()
	e, ok := s.known.copies[sum]
	ok = ok && !s.known.doubted
	s.known.mu.Unlock()
	if !ok {
		return Version{}, false
	}
	is, err := stateOf(s.path(sum))
	is.Ctime = e.copy.Ctime // which another name of the file changes
	return Version{Sum: sum, Path: s.path(sum), Size: is.Size}, err == nil && is == e.copy
}

func stateOf(path string) (State, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return State{}, err
	}
	return State{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, nil
}

// restful is how much longer Check rests than it reads.
const restful = 9

// Check reads what was known of a daemon before, one copy after the other, and rests in
// between, for pause at the least. One that is damaged is deleted, and told.
func (s *Store) Check(ctx context.Context, pause time.Duration, damaged func(sum string)) {
	s.known.mu.Lock()
	sums := maps.Clone(s.known.untried)
	s.known.mu.Unlock()
	for sum := range sums {
		began := time.Now()
		_, err := s.read(sum)
		s.known.mu.Lock()
		delete(s.known.untried, sum)
		_, wanted := s.known.copies[sum]
		if errors.Is(err, fs.ErrNotExist) {
			s.known.forget(sum)
		}
		s.known.mu.Unlock()
		if wanted && errors.Is(err, errDamaged) {
			damaged(sum)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(pause, restful*time.Since(began))):
		}
	}
}
