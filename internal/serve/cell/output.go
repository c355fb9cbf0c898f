package cell

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
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

// logHandler makes log/slog's records, and log's, the cell's own.
type logHandler struct {
	cell   *Cell
	prefix string            // of the groups, each followed by a dot
	fields map[string]string // never changed once published
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	fields := maps.Clone(h.fields)
	r.Attrs(func(a slog.Attr) bool {
		fields = flatten(fields, h.prefix, a)
		return true
	})
	level := "debug"
	switch {
	case r.Level >= slog.LevelError:
		level = "error"
	case r.Level >= slog.LevelWarn:
		level = "warning"
	case r.Level >= slog.LevelInfo:
		level = "info"
	}
	h.cell.record(level, r.Message, fields)
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := maps.Clone(h.fields)
	for _, a := range attrs {
		fields = flatten(fields, h.prefix, a)
	}
	return &logHandler{h.cell, h.prefix, fields}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &logHandler{h.cell, h.prefix + name + ".", h.fields}
}

// flatten adds a to fields, the members of a group under dotted names.
func flatten(fields map[string]string, prefix string, a slog.Attr) map[string]string {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			fields = flatten(fields, prefix, m)
		}
		return fields
	}
	if a.Key == "" {
		return fields
	}
	if fields == nil {
		fields = make(map[string]string)
	}
	fields[prefix+a.Key] = fmt.Sprint(v.Any())
	return fields
}
