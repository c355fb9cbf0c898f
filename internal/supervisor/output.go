package supervisor

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/sirupsen/logrus"
)

// mayLog reports whether one more record of a cell may be logged, and tells in
// its place where not. Its own goroutines call it, and those that read the
// cell's output.
func (s *Supervisor) mayLog(c *cell) bool {
	v := c.logs.take(time.Now())
	s.tellDropped(c, v.dropped, v.rate)
	if v.begins {
		s.log.WithField("handler", c.name).Warnf(
			"log records of %s are dropped from here on: it may write %s; for more, set LogRateLimitBurst= in plugserverd.conf(5)", c.name, v.rate)
	}
	return v.log
}

func (s *Supervisor) tellDropped(c *cell, n int, r LogRate) {
	if n > 0 {
		s.log.WithFields(logrus.Fields{"handler": c.name, "lost": n}).Warnf("%d log records of %s were dropped until here: it may write %s", n, c.name, r)
	}
}

// tellLost tells of what was dropped last.
func (s *Supervisor) tellLost(c *cell) {
	n, r := c.logs.told()
	s.tellDropped(c, n, r)
}

func (r LogRate) String() string { return fmt.Sprintf("%d in %v", r.Burst, r.Interval) }

// counted takes what a cell counts. What it could not even send is lost, too.
func (s *Supervisor) counted(c *cell, stats link.Stats) {
	if n := stats.Dropped - c.stats.Dropped; n > 0 {
		s.log.WithFields(logrus.Fields{"handler": c.name, "lost": n}).Warnf("%d log records of %s were dropped: it wrote faster than they were read", n, c.name)
	}
	c.stats = stats
}

// record logs what a cell has logged, and keeps it: it may be its last word.
func (s *Supervisor) record(c *cell, m link.Message) {
	m = m.Bounded() // whatever the process is
	if m.Level != "debug" {
		c.child.Said(m.Line())
	}
	if !s.mayLog(c) {
		return
	}
	level, err := logrus.ParseLevel(m.Level)
	if err != nil || level < logrus.ErrorLevel {
		level = logrus.ErrorLevel // a handler's panic is not ours
	}
	fields := s.fields(c)
	for _, st := range c.seats {
		if st.name == m.Name {
			fields = s.seatFields(st)
		}
	}
	for k, v := range m.Fields {
		if _, ours := fields[k]; ours || reserved[k] {
			k = "attr_" + k // a handler does not speak for the supervisor
		}
		fields[k] = v
	}
	fields["stream"] = "log" // beside stdout and stderr: the handler speaks
	s.log.WithFields(fields).Log(level, m.Text)
}

// reserved are the fields by which an operator knows an event.
var reserved = map[string]bool{"event": true, "stream": true, "group": true, "reason": true, "mend": true, "patterns": true, "error": true, "frames": true, "status": true}

func (s *Supervisor) fields(c *cell) logrus.Fields {
	f := logrus.Fields{"handler": c.name}
	if c.group == nil {
		f["version"] = c.seats[0].part.Version.Short()
	} else {
		f["group"] = c.name
	}
	if c.child != nil {
		f["pid"] = c.child.PID
	}
	return f
}

// seatFields are those of one handler of a cell.
func (s *Supervisor) seatFields(st *seat) logrus.Fields {
	f := s.fields(st.cell)
	f["handler"], f["version"] = st.name, st.part.Version.Short()
	return f
}
