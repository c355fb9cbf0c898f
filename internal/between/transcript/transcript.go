// Package transcript keeps the end of what a child prints and says, and finds in it what the Go runtime prints when it ends one.
package transcript

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// maxTail bounds what Tail keeps.
const maxTail = 4 << 10

// MaxLine bounds a line of output, in bytes; a longer one is cut in pieces.
const MaxLine = 8 << 10

// maxWords bounds what is quoted of a crash's words, in bytes: a panic's value may
// be of any length.
const maxWords = 1000

const (
	// lastMoment is how long before its end a child may have said what tells of that, where it has ended itself.
	lastMoment = time.Second
	// crashMoment is that for what the runtime prints before exit status 2: it is read and reaped by who may be busy.
	crashMoment = 5 * time.Second
)

// Transcript is one child's. The zero value is empty. Any goroutine may call its methods.
type Transcript struct {
	mu       sync.Mutex // guards the rest
	tail     []said
	tailSize int // bytes
	crash    []string
	stderr   said // its last line that is not empty
	ended    said // how, and when
}

// said is something, and when it was.
type said struct {
	text  string
	at    time.Time
	crash bool // it is of one
}

// Ended takes in how a child has ended, such as "exit status 2": that says whether a crash in what it has printed is its end.
func (t *Transcript) Ended(status string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = said{text: status, at: time.Now()}
}

// Said adds a line that the child said over its link to those of Tail: its
// last words are not always printed.
func (t *Transcript) Said(line string) { t.Heard("link", line[:min(len(line), MaxLine)]) }

// Heard adds a line of stdout or stderr.
func (t *Transcript) Heard(stream, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := said{text: line, at: time.Now()}
	if stream == "stderr" {
		if strings.TrimSpace(line) != "" {
			t.stderr = now
		}
		switch n := len(t.crash); {
		case beginsCrash(line) && (n == 0 || slices.ContainsFunc(t.crash, beginsStack)):
			t.crash = []string{line} // what looked like a crash before was none
		case n > 0 && n < maxCrash:
			t.crash = append(t.crash, line)
		}
		now.crash = len(t.crash) > 0 && (ofCrash(line) || strings.TrimSpace(line) == "")
	}
	t.tail = append(t.tail, now)
	t.tailSize += len(line) + 1
	for len(t.tail) > 1 && t.tailSize > maxTail {
		t.tailSize -= len(t.tail[0].text) + 1
		t.tail = t.tail[1:]
	}
}

// Crash returns what the Go runtime printed when it ended the child, and
// whether it did. A crash that a handler has recovered from, and printed, is none.
func (t *Transcript) Crash() (Crash, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.crash) == 0 || !t.isEnd() {
		return Crash{}, false
	}
	return parseCrash(t.crash), true
}

// isEnd reports whether the crash that was printed may be how the child has ended: the runtime prints it last, and
// exits with status 2, or by a signal (GOTRACEBACK=crash).
func (t *Transcript) isEnd() bool {
	switch status := t.ended.text; {
	case status == "exit status 2":
		return ofCrash(t.stderr.text) && t.ended.at.Sub(t.stderr.at) < crashMoment
	case strings.HasPrefix(status, "exit status "), status == "signal: killed":
		return false
	}
	return true // by another signal, or for a limit; or it is not known yet
}

// Tail returns the last lines that the child printed or said, at most 4 KiB or
// one line of them.
func (t *Transcript) Tail() []string { return t.lines(func(said) bool { return true }) }

// lines are those of Tail that are wanted.
func (t *Transcript) lines(wanted func(said) bool) (lines []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.tail {
		if wanted(l) {
			lines = append(lines, l.text)
		}
	}
	return lines
}

// Printed is the end of what a child printed or said, on one line: of a crash
// what the runtime said, and where in the handler it was.
func (t *Transcript) Printed() string { return t.words(t.Tail) }

// LastWords are those of Printed that belong to its end: a crash, or what it has printed or said right before.
func (t *Transcript) LastWords() string {
	return t.words(func() []string {
		return t.lines(func(l said) bool { return !l.crash && t.ended.at.Sub(l.at) <= lastMoment })
	})
}

// words are the crash that has ended a child, or the last of these lines.
func (t *Transcript) words(tail func() []string) string {
	crash, crashed := t.Crash()
	if !crashed {
		lines := tail()
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
