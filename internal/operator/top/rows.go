// Package top shows how handlers do now, the busiest first, until interrupted. It is the only
// importer of Bubble Tea.
package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Row is one handler between two looks.
type Row struct {
	Name              string  `json:"name"`
	State             string  `json:"state"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	ErrorsPerSecond   float64 `json:"errors_per_second"` // 5xx, and what was lost with a process
	Errors            int64   `json:"errors"`            // since the daemon's start
	InFlight          int64   `json:"in_flight"`
	CPU               float64 `json:"cpu"`          // processors, of its cell
	MemoryBytes       int64   `json:"memory_bytes"` // private, of its cell
}

// rows are the handlers of the later look.
func rows(before, now api.Status, took time.Duration) []Row {
	old := make(map[string]api.Handler)
	for _, h := range before.Handlers {
		old[h.Name] = h
	}
	per := func(n float64) float64 { return max(n, 0) / max(took.Seconds(), 0.001) }
	all := []Row{}
	for _, h := range now.Handlers {
		was := old[h.Name]
		if was.PID != h.PID { // a new process begins anew
			was.Requests, was.CPUSeconds = 0, 0
		}
		r := Row{Name: h.Name, State: h.State, Errors: h.Errors, InFlight: h.InFlight, MemoryBytes: h.PrivateBytes}
		if _, known := old[h.Name]; known {
			r.RequestsPerSecond, r.ErrorsPerSecond, r.CPU = per(float64(h.Requests-was.Requests)), per(float64(h.Errors-was.Errors)), per(h.CPUSeconds-was.CPUSeconds)
		}
		all = append(all, r)
	}
	return all
}

// keys are what rows can be sorted by, each with the key that does it.
var keys = []struct {
	key, title string
	of         func(Row) float64 // nil: the name
	text       func(Row) string
}{
	{"n", "NAME", nil, func(r Row) string { return terminal.Escape(r.Name) }},
	{"", "STATE", nil, func(r Row) string { return terminal.Escape(r.State) }},
	{"r", "REQ/S", func(r Row) float64 { return r.RequestsPerSecond }, func(r Row) string { return rate(r.RequestsPerSecond) }},
	{"", "BUSY", nil, func(r Row) string { return terminal.Count(r.InFlight) }},
	{"c", "CPU", func(r Row) float64 { return r.CPU }, func(r Row) string { return fmt.Sprintf("%.0f%%", r.CPU*100) }},
	{"m", "MEMORY", func(r Row) float64 { return float64(r.MemoryBytes) }, func(r Row) string { return terminal.Size(r.MemoryBytes) }},
	{"e", "ERR/S", func(r Row) float64 { return r.ErrorsPerSecond }, func(r Row) string { return rate(r.ErrorsPerSecond) }},
	{"", "ERRORS", nil, func(r Row) string { return terminal.Count(r.Errors) }},
}

func rate(v float64) string {
	if v > 0 && v < 9.95 {
		return fmt.Sprintf("%.1f", v)
	}
	return terminal.Count(int64(v + 0.5))
}

// order sorts by a key, the most first; what is alike by name. Errors count in all where
// there are none now.
func order(all []Row, key string) {
	slices.SortStableFunc(all, func(a, b Row) int {
		for _, k := range keys {
			if k.key == key && k.of != nil {
				if c := cmp.Compare(k.of(b), k.of(a)); c != 0 {
					return c
				}
			}
		}
		if c := cmp.Compare(b.Errors, a.Errors); key == "e" && c != 0 {
			return c
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

// table is rows within so many columns and lines; 0 lines: all.
func table(all []Row, key string, columns, lines int) string {
	left := 0
	if lines > 0 && len(all) > lines-1 {
		keep := max(lines-2, 0)
		left, all = len(all)-keep, all[:keep]
	}
	widths := make([]int, len(keys))
	taken := 0
	for i, k := range keys {
		widths[i] = len(k.title) + 1 // the mark of the one that is sorted by
		for _, r := range all {
			widths[i] = max(widths[i], terminal.Width(k.text(r)))
		}
		if i > 0 {
			taken += widths[i] + 1
		}
	}
	widths[0] = max(min(widths[0], columns-taken), 8)
	var b strings.Builder
	line := func(text func(i int) string) {
		cells := make([]string, len(keys))
		for i := range keys {
			cells[i] = terminal.Pad(terminal.Truncate(text(i), widths[i]), widths[i], i > 1)
		}
		b.WriteString(terminal.Truncate(strings.TrimRight(strings.Join(cells, " "), " "), columns) + "\n")
	}
	line(func(i int) string {
		if k := keys[i]; k.key == key && key != "" {
			return k.title + "*"
		}
		return keys[i].title
	})
	for _, r := range all {
		line(func(i int) string { return keys[i].text(r) })
	}
	if left > 0 {
		fmt.Fprintf(&b, "and %d more\n", left)
	}
	return b.String()
}
