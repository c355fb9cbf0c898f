// Package handlerlog logs what handlers print and log: marked as theirs, so that none
// speaks for the daemon, and bounded, so that none drowns the others.
package handlerlog

import (
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/sirupsen/logrus"
)

// Log is that of one cell. Printed may be called by any goroutine, all else by one.
type Log struct {
	log    *logrus.Logger
	name   string // of the handler, or of the group
	fields func(plugin string) logrus.Fields
	bucket bucket
	unsent int64 // records that the cell has dropped itself
}

// New returns the log of a cell. The fields are those of the records of one of its
// plugins.
func New(log *logrus.Logger, name string, fields func(plugin string) logrus.Fields, r Rate) *Log {
	l := &Log{log: log, name: name, fields: fields}
	l.Bound(r)
	return l
}

// Bound puts another bound in force.
func (l *Log) Bound(r Rate) { l.bucket.bound(r) }

// Printed logs a line that the cell has printed.
func (l *Log) Printed(stream, line string) {
	level := logrus.InfoLevel
	if stream == "stderr" {
		level = logrus.WarnLevel
	}
	if l.may() {
		l.log.WithFields(logrus.Fields{"handler": l.name, "stream": stream}).Log(level, line)
	}
}

// Record logs what the cell has logged; the message is of bounded length.
func (l *Log) Record(m link.Message) {
	if !l.may() {
		return
	}
	level, err := logrus.ParseLevel(m.Level)
	if err != nil || level < logrus.ErrorLevel {
		level = logrus.ErrorLevel // a handler's panic is not ours
	}
	fields := l.fields(m.Name)
	for k, v := range m.Fields {
		if _, ours := fields[k]; ours || reserved[k] {
			k = "attr_" + k // a handler does not speak for the supervisor
		}
		fields[k] = v
	}
	fields["stream"] = "log" // beside stdout and stderr: the handler speaks
	l.log.WithFields(fields).Log(level, m.Text)
}

// reserved are the fields by which an operator knows an event.
var reserved = map[string]bool{event.Field: true, "stream": true, "group": true, "reason": true, "mend": true, "patterns": true, "error": true, "frames": true, "status": true}

// may reports whether one more record may be logged, and tells in its place where not.
func (l *Log) may() bool {
	v := l.bucket.take(time.Now())
	l.tellDropped(v.dropped, v.rate)
	if v.begins {
		l.log.WithField("handler", l.name).Warnf(
			"log records of %s are dropped from here on: it may write %s; for more, set LogRateLimitBurst= in plugserverd.conf(5)", l.name, v.rate)
	}
	return v.log
}

func (l *Log) tellDropped(n int, r Rate) {
	if n > 0 {
		l.log.WithFields(logrus.Fields{"handler": l.name, "lost": n}).Warnf("%d log records of %s were dropped until here: it may write %s", n, l.name, r)
	}
}

// TellDropped tells of what was dropped last.
func (l *Log) TellDropped() {
	n, r := l.bucket.told()
	l.tellDropped(n, r)
}

// Unsent takes how many records the cell could not even send, in all.
func (l *Log) Unsent(all int64) {
	if n := all - l.unsent; n > 0 {
		l.log.WithFields(logrus.Fields{"handler": l.name, "lost": n}).Warnf("%d log records of %s were dropped: it wrote faster than they were read", n, l.name)
	}
	l.unsent = all
}

// Dropped is how many records were dropped, in all.
func (l *Log) Dropped() int64 { return l.bucket.lost() + l.unsent }

// Recovered reports whether a Log tells of a panic in a request, which nothing ends by.
func Recovered(m link.Message) bool {
	for _, k := range []string{"at", "pattern", "stack"} { // cell.own's
		if _, is := m.Fields[k]; !is {
			return false
		}
	}
	return strings.HasPrefix(m.Text, "panic in ")
}
