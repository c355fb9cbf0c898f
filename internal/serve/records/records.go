// Package records makes what handlers log, by log and log/slog, records of a level, a text
// and fields.
package records

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
)

// Handler is a slog.Handler that gives each record to send, which gives it the fields for
// good.
func Handler(send func(level, text string, fields map[string]string)) slog.Handler {
	return &handler{send: send}
}

type handler struct {
	send   func(level, text string, fields map[string]string)
	prefix string            // of the groups, each followed by a dot
	fields map[string]string // never changed once published
}

func (h *handler) Enabled(context.Context, slog.Level) bool { return true }

func (h *handler) Handle(_ context.Context, r slog.Record) error {
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
	h.send(level, r.Message, fields)
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := maps.Clone(h.fields)
	for _, a := range attrs {
		fields = flatten(fields, h.prefix, a)
	}
	return &handler{h.send, h.prefix, fields}
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &handler{h.send, h.prefix + name + ".", h.fields}
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
