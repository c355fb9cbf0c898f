package cell

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// lastWords bounds how long a record may hold up who logs it.
const lastWords = 100 * time.Millisecond

// record sends a log record to the supervisor. It returns once the record
// outlives the process, for whoever logs may end it next (log.Fatal); a
// supervisor that stands still holds up nobody for long, and what the link has
// no room for is dropped and counted.
func (c *Cell) record(level, text string, fields map[string]string) {
	c.recordOf("", level, text, fields)
}

// recordOf is record for one plugin. What a plugin logs by itself cannot be told
// from another's in the same process.
func (c *Cell) recordOf(plugin, level, text string, fields map[string]string) {
	m := link.Message{Kind: link.Log, Name: plugin, Level: level, Text: text, Fields: fields}
	if c.link.Deliver(m.Bounded(), lastWords) != nil {
		c.dropped.Add(1)
	}
}
