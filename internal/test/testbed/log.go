package testbed

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Entry is one line of the daemon's log.
type Entry struct {
	At     time.Time // when the harness read it: a little after it was written
	Raw    string
	Fields map[string]any // nil where the line is no JSON
}

// Get returns a field as text, "" if there is none.
func (e Entry) Get(name string) string {
	v, ok := e.Fields[name]
	if !ok {
		return ""
	}
	return fmt.Sprint(v)
}

// Msg returns what the entry says.
func (e Entry) Msg() string { return e.Get("msg") }

// Log is what a daemon has logged.
type Log struct {
	mu      sync.Mutex
	entries []Entry
	ended   bool
	changed chan struct{} // closed and replaced with every entry
}

func newLog(r io.Reader) *Log {
	l := &Log{changed: make(chan struct{})}
	go func() {
		lines := bufio.NewReaderSize(r, 64<<10) // as much as a pipe holds: who writes to it waits
		for {
			text, err := lines.ReadString('\n')
			l.mu.Lock()
			if text != "" {
				e := Entry{At: time.Now(), Raw: text}
				if json.Unmarshal([]byte(text), &e.Fields) != nil {
					e.Fields = nil
				}
				l.entries = append(l.entries, e)
			}
			l.ended = err != nil
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l
}

// Len returns the number of entries so far: a mark to look from.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// From returns the entries since mark.
func (l *Log) From(mark int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries[mark:len(l.entries):len(l.entries)]
}

// Wait returns the first entry since mark that matches, waiting for it.
func (l *Log) Wait(mark int, limit time.Duration, match func(Entry) bool) (Entry, error) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		l.mu.Lock()
		entries, ended, changed := l.entries, l.ended, l.changed
		l.mu.Unlock()
		for ; mark < len(entries); mark++ {
			if match(entries[mark]) {
				return entries[mark], nil
			}
		}
		if ended {
			return Entry{}, fmt.Errorf("the log ended without it")
		}
		select {
		case <-changed:
		case <-timeout.C:
			return Entry{}, fmt.Errorf("not logged within %v", limit)
		}
	}
}
