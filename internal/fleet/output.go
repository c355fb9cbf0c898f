package fleet

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/event"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/sirupsen/logrus"
)

// printed logs a line that a cell has printed. The goroutines that read its output
// call it.
func (c *Cell) printed(stream, line string) {
	level := logrus.InfoLevel
	if stream == "stderr" {
		level = logrus.WarnLevel
	}
	if c.mayLog() {
		c.fleet.cfg.Log.WithFields(logrus.Fields{"handler": c.spec.Name, "stream": stream}).Log(level, line)
	}
}

// mayLog reports whether one more record of a cell may be logged, and tells in
// its place where not. The owner's goroutine calls it, and those that read the
// cell's output.
func (c *Cell) mayLog() bool {
	v := c.logs.take(time.Now())
	c.tellDropped(v.dropped, v.rate)
	if v.begins {
		c.fleet.cfg.Log.WithField("handler", c.spec.Name).Warnf(
			"log records of %s are dropped from here on: it may write %s; for more, set LogRateLimitBurst= in plugserverd.conf(5)", c.spec.Name, v.rate)
	}
	return v.log
}

func (c *Cell) tellDropped(n int, r LogRate) {
	if n > 0 {
		c.fleet.cfg.Log.WithFields(logrus.Fields{"handler": c.spec.Name, "lost": n}).Warnf("%d log records of %s were dropped until here: it may write %s", n, c.spec.Name, r)
	}
}

// tellLost tells of what was dropped last.
func (c *Cell) tellLost() {
	n, r := c.logs.told()
	c.tellDropped(n, r)
}

func (r LogRate) String() string { return fmt.Sprintf("%d in %v", r.Burst, r.Interval) }

// counted takes what a cell counts. What it could not even send is lost, too.
func (c *Cell) counted(stats link.Stats) {
	if n := stats.Dropped - c.stats.Dropped; n > 0 {
		c.fleet.cfg.Log.WithFields(logrus.Fields{"handler": c.spec.Name, "lost": n}).Warnf("%d log records of %s were dropped: it wrote faster than they were read", n, c.spec.Name)
	}
	c.stats = stats
}

// record logs what a cell has logged, and keeps it: it may be its last word.
func (c *Cell) record(m link.Message) {
	m = m.Bounded() // whatever the process is
	if m.Level != "debug" {
		c.process.Said(m.Line())
	}
	if !c.mayLog() {
		return
	}
	level, err := logrus.ParseLevel(m.Level)
	if err != nil || level < logrus.ErrorLevel {
		level = logrus.ErrorLevel // a handler's panic is not ours
	}
	fields := c.Fields(m.Name)
	for k, v := range m.Fields {
		if _, ours := fields[k]; ours || reserved[k] {
			k = "attr_" + k // a handler does not speak for the supervisor
		}
		fields[k] = v
	}
	fields["stream"] = "log" // beside stdout and stderr: the handler speaks
	c.fleet.cfg.Log.WithFields(fields).Log(level, m.Text)
}

// reserved are the fields by which an operator knows an event.
var reserved = map[string]bool{event.Field: true, "stream": true, "group": true, "reason": true, "mend": true, "patterns": true, "error": true, "frames": true, "status": true}
