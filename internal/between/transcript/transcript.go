// Package transcript keeps the end of what a child prints and says, and finds in it what the Go runtime prints when it ends one.
package transcript

import (
	"slices"
	"strings"
	"sync"
)

// maxTail bounds what Tail keeps.
const maxTail = 4 << 10

// MaxLine bounds a line of output, in bytes; a longer one is cut in pieces.
const MaxLine = 8 << 10

// maxWords bounds what is quoted of a crash's words, in bytes: a panic's value may
// be of any length.
const maxWords = 1000

// Transcript is one child's. The zero value is empty. Any goroutine may call its methods.
type Transcript struct {
	mu       sync.Mutex // guards the rest
	tail     []string
	tailSize int // bytes
	crash    []string
}

// Said adds a line that the child said over its link to those of Tail: its
// last words are not always printed.
func (t *Transcript) Said(line string) { t.Heard("link", line[:min(len(line), MaxLine)]) }

// Heard adds a line of stdout or stderr.
func (t *Transcript) Heard(stream, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if stream == "stderr" {
		switch n := len(t.crash); {
		case beginsCrash(line) && (n == 0 || slices.ContainsFunc(t.crash, beginsStack)):
			t.crash = []string{line} // what looked like a crash before was none
		case n > 0 && n < maxCrash:
			t.crash = append(t.crash, line)
		}
	}
	t.tail = append(t.tail, line)
	t.tailSize += len(line) + 1
	for len(t.tail) > 1 && t.tailSize > maxTail {
		t.tailSize -= len(t.tail[0]) + 1
		t.tail = t.tail[1:]
	}
}

// Crash returns what the Go runtime printed when it ended the child, and
// whether it did.
func (t *Transcript) Crash() (Crash, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return parseCrash(t.crash), len(t.crash) > 0
}

// Tail returns the last lines that the child printed or said, at most 4 KiB or
// one line of them.
func (t *Transcript) Tail() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.tail...)
}

// Printed is the end of what a child printed or said, on one line: of a crash
// what the runtime said, and where in the handler it was.
func (t *Transcript) Printed() string {
	crash, crashed := t.Crash()
	if !crashed {
		lines := t.Tail()
		return strings.Join(lines[max(0, len(lines)-12):], " | ")
	}
	words := crash.Words
	if len(words) > maxWords {
		words = strings.ToValidUTF8(words[:maxWords], "") + "..."
	}
	if frames := crash.Handler(); len(frames) > 0 {
		return words + " in " + frames[0].String()
	}
	return words
}
