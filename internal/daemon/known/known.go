// Package known is what is known of copies without reading them: which was read whole, and in what state it and the file that
// it is of were then. It is written down, for the next daemon: until the machine is started again. A crash of that may lose
// content and leave the states.
package known

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// State is what stat(2) says of a file: whoever changes the file changes that. Times are
// in nanoseconds since the epoch.
type State struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64
}

// Stat returns the state of a file, or of a symbolic link.
func Stat(path string) (State, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return State{}, err
	}
	return State{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}, nil
}

// entry is a copy that was read whole, in that state.
type entry struct {
	copy State
	from State // of the file that it was copied from; zero if of none
}

// Book is what is known of the copies of one folder, by their sums. Its methods may be called from any goroutine.
type Book struct {
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

// File is its name in the folder.
const File = "known"

// bootID tells one start of the machine from another.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// Load returns what is written down in the folder dir of the copies that there are: what it does not know is read again.
func Load(dir string, isThere func(sum string) bool) *Book {
	k := &Book{
		path: filepath.Join(dir, File), boot: bootID(),
		copies: make(map[string]entry), sums: make(map[State]string), untried: make(map[string]bool),
	}
	text, _ := os.ReadFile(k.path)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); k.lines++ {
		if sum, e, ok := k.parse(lines.Text()); ok && isThere(sum) {
			k.set(sum, e)
		}
	}
	for sum := range k.copies {
		k.untried[sum] = true
	}
	return k
}

// line is an entry as it is written: complete where its last word is a dot.
func (k *Book) line(sum string, e entry) string {
	return fmt.Sprintf("%s %s %d %d %d %d %d %d %d %d %d %d .\n", k.boot, sum, e.copy.Dev, e.copy.Ino, e.copy.Size, e.copy.Mtime, e.copy.Ctime,
		e.from.Dev, e.from.Ino, e.from.Size, e.from.Mtime, e.from.Ctime)
}

func (k *Book) parse(line string) (sum string, e entry, ok bool) {
	var boot, end string
	_, err := fmt.Sscan(line, &boot, &sum, &e.copy.Dev, &e.copy.Ino, &e.copy.Size, &e.copy.Mtime, &e.copy.Ctime,
		&e.from.Dev, &e.from.Ino, &e.from.Size, &e.from.Mtime, &e.from.Ctime, &end)
	return sum, e, err == nil && end == "." && k.boot != "" && boot == k.boot
}

func (k *Book) set(sum string, e entry) {
	k.forget(sum)
	k.copies[sum] = e
	if e.from != (State{}) {
		k.sums[e.from] = sum
	}
}

func (k *Book) forget(sum string) {
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
func (k *Book) write(sum string, e entry) {
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

// Learn takes note that a copy, in the state is, was read whole just now, and of the file that it is a copy of; of the one that
// it was of before where from is zero.
func (k *Book) Learn(sum string, is, from State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if from == (State{}) {
		from = k.copies[sum].from
	}
	e := entry{is, from}
	k.set(sum, e)
	k.write(sum, e)
}

// Sum is that of the copy of a file in that state, ok whether there is one.
func (k *Book) Sum(from State) (sum string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	sum, ok = k.sums[from]
	return sum, ok
}

// Is reports whether a copy in that state is known.
func (k *Book) Is(sum string, is State) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.copies[sum]
	is.Ctime = e.copy.Ctime // which another name of the file changes
	return ok && !k.doubted && is == e.copy
}

// Has reports whether anything is known of a copy, be it that it is doubted.
func (k *Book) Has(sum string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.copies[sum]
	return ok
}

// Forget forgets a copy.
func (k *Book) Forget(sum string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forget(sum)
}

// Untried are the copies that a daemon before has read, and this one has not Tried; they are the caller's.
func (k *Book) Untried() map[string]bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.untried)
}

// Tried takes note that such a copy was read, whatever came of that.
func (k *Book) Tried(sum string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.untried, sum)
}

// Doubt has nothing be known from now on, by no later daemon neither.
func (k *Book) Doubt() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.doubted = true
	clear(k.untried)
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget what is known of the store: %w", err)
	}
	return nil
}
