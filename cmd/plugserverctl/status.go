package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
)

var statusCommand = command{
	name:  "status",
	short: "show every handler, and why one is not served",
	bind: func(flags *flag.FlagSet) runner {
		asJSON := flags.Bool("json", false, "print one object, for programs")
		return func(ctx context.Context, s *session) error {
			st, err := s.client.Status(ctx)
			if err != nil {
				return err
			}
			if *asJSON {
				return writeJSON(s.out, st)
			}
			var b bytes.Buffer
			writeStatus(&b, st, time.Now())
			s.out.Write(b.Bytes())
			return nil
		}
	},
}

// writeJSON writes v indented, with nothing that a terminal could act on.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	io.WriteString(w, escapeJSON(b.String()))
	return nil
}

// columns is what the table and the text around it fit into.
const columns = 100

// column is one of the table's. The names and the patterns share what the
// others leave, so those have a widest.
type column struct {
	title  string
	right  bool
	widest int // 0: no limit of its own
	cell   func(h api.Handler, now time.Time) string
}

var table = []column{
	{"NAME", false, 0, func(h api.Handler, _ time.Time) string { return escape(h.Name) }},
	{"STATE", false, 9, func(h api.Handler, _ time.Time) string { return state(h) }},
	{"VERSION", false, 12, func(h api.Handler, _ time.Time) string { return orDash(escape(h.Version)) }},
	{"PID", true, 7, func(h api.Handler, _ time.Time) string { return pid(h.PID) }},
	{"SINCE", true, 7, func(h api.Handler, now time.Time) string { return age(h.Since, now) }},
	{"REQUESTS", true, 8, func(h api.Handler, _ time.Time) string { return count(h.Requests) }},
	{"INFLIGHT", true, 8, func(h api.Handler, _ time.Time) string { return count(h.InFlight) }},
	{"MEMORY", true, 7, func(h api.Handler, _ time.Time) string { return size(h.MemoryBytes) }},
	{"PATTERNS", false, 0, nil}, // its cells depend on its width: see patterns
}

const (
	nameColumn    = 0
	patternColumn = 8
	gap           = "  "
)

// writeStatus writes st as people read it.
func writeStatus(w *bytes.Buffer, st api.Status, now time.Time) {
	d := st.Daemon
	w.WriteString(wrap("", "  ", fmt.Sprintf("plugserverd %s, pid %s, gate %s, up %s, %s",
		d.Version, pid(d.PID), pid(d.GatePID), age(d.Since, now), d.Handlers), columns))
	if len(d.Listeners) > 0 {
		w.WriteString(wrap("", "  ", "listening on "+strings.Join(d.Listeners, ", "), columns))
	}
	if d.Problem != "" {
		w.WriteString(wrap("problem: ", "  ", d.Problem, columns))
	}
	w.WriteString("\n")
	if len(st.Handlers) == 0 {
		w.WriteString(wrap("", "  ", "no handlers yet; copy a compiled plugin (NAME.so) into "+d.Handlers, columns))
		return
	}
	writeTable(w, st.Handlers, now)

	if slices.ContainsFunc(st.Handlers, superseded) {
		w.WriteString("\n* the newest file was refused; the version shown is an earlier one\n")
	}
	for _, h := range st.Handlers {
		if h.Refusal == nil {
			continue
		}
		w.WriteString("\n" + wrap("", "  ", h.Name+": "+h.Refusal.Reason, columns))
		if h.Refusal.Mend != "" {
			w.WriteString(wrap("  mend: ", "    ", h.Refusal.Mend, columns))
		}
	}
}

func writeTable(w *bytes.Buffer, handlers []api.Handler, now time.Time) {
	rows := make([][]string, len(handlers))
	widths := make([]int, len(table))
	for c, col := range table {
		widths[c] = len(col.title)
	}
	for i, h := range handlers {
		rows[i] = make([]string, len(table))
		for c, col := range table {
			if col.cell == nil {
				rows[i][c] = patterns(h.Patterns, math.MaxInt)
			} else {
				rows[i][c] = col.cell(h, now)
			}
			widths[c] = max(widths[c], width(rows[i][c]))
		}
	}
	room := columns - len(gap)*(len(table)-1)
	for c, col := range table {
		if col.widest > 0 {
			widths[c] = min(widths[c], col.widest)
			room -= widths[c]
		}
	}
	// Where both are too long the names get half, or what the patterns leave.
	if widths[nameColumn]+widths[patternColumn] > room {
		widths[nameColumn] = min(widths[nameColumn], max(room/2, room-widths[patternColumn]))
		widths[patternColumn] = room - widths[nameColumn]
	}

	titles := make([]string, len(table))
	for c, col := range table {
		titles[c] = col.title
	}
	writeRow(w, titles, widths)
	for i, row := range rows {
		row[patternColumn] = patterns(handlers[i].Patterns, widths[patternColumn])
		writeRow(w, row, widths)
	}
}

func writeRow(w *bytes.Buffer, row []string, widths []int) {
	cells := make([]string, len(row))
	for c, s := range row {
		cells[c] = pad(s, widths[c], table[c].right)
	}
	w.WriteString(strings.TrimRight(strings.Join(cells, gap), " ") + "\n")
}

// patterns lists what fits into limit columns, and how many more there are.
func patterns(list []string, limit int) string {
	if len(list) == 0 {
		return "-"
	}
	escaped := make([]string, len(list))
	for i, p := range list {
		escaped[i] = escape(p)
	}
	if all := strings.Join(escaped, ", "); width(all) <= limit {
		return all
	}
	if len(list) == 1 {
		return truncate(escaped[0], limit)
	}
	suffix := more(len(list) - 1)
	best := truncate(escaped[0], max(limit-len(suffix), 1)) + suffix
	for n, shown := 1, escaped[0]; n < len(list); n++ {
		s := shown + more(len(list)-n)
		if width(s) > limit {
			break
		}
		best, shown = s, shown+", "+escaped[n]
	}
	return best
}

func more(n int) string { return fmt.Sprintf(" +%d more", n) }

// superseded tells whether h is of an earlier version than its newest file,
// which was refused.
func superseded(h api.Handler) bool {
	return h.Refusal != nil && h.Version != "" && h.State != api.StateRefused
}

func state(h api.Handler) string {
	if superseded(h) {
		return escape(h.State) + "*"
	}
	return escape(h.State)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func pid(n int) string {
	if n <= 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// age returns the time since t in its largest unit.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

// count returns n, in thousands and so on where it has more than 7 digits.
func count(n int64) string {
	if n < 10_000_000 {
		return strconv.FormatInt(max(n, 0), 10)
	}
	return scale(n, 1000)
}

// size returns n bytes in units of 1024 and its powers; 0 is not known.
func size(n int64) string {
	if n <= 0 {
		return "-"
	}
	return scale(n, 1024)
}

// scale returns n with one digit after the point and the unit it is in, in at
// most seven characters.
func scale(n int64, base float64) string {
	f, unit := float64(n), 0
	for f >= base-0.05 { // else it is rounded up to it
		f /= base
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%.1f%c", f, " kMGTPE"[unit])
}
