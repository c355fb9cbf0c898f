package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/terminal"
	"github.com/andrestc/go-plugserver/internal/words"
)

var statusCommand = command{
	name:  "status",
	args:  "[NAME...]",
	short: "show every handler, or those named, and why one is not served",
	bind: func(flags *flag.FlagSet) runner {
		asJSON := flags.Bool("json", false, "print one object, for programs")
		resources := flags.Bool("resources", false, "show what each handler uses, and may use, in place of what it serves")
		return func(ctx context.Context, s *session) error {
			st, err := s.client.Status(ctx)
			if err != nil {
				return err
			}
			if st.Handlers, err = named(st.Handlers, s.args); err != nil {
				return err
			}
			if *asJSON {
				return writeJSON(s.out, st)
			}
			table := routesTable
			if *resources {
				table = resourcesTable
			}
			var b bytes.Buffer
			writeStatus(&b, st, table, time.Now())
			if len(s.args) > 0 {
				writeDetails(&b, st.Handlers)
			}
			s.out.Write(b.Bytes())
			return nil
		}
	},
}

// named are the handlers of those names, all where there are none.
func named(all []api.Handler, names []string) (some []api.Handler, err error) {
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, h := range all {
		known = append(known, h.Name)
		if slices.Contains(names, h.Name) {
			some = append(some, h)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no handler %q%s", name, cmp.Or(words.DidYouMean(name, known), "; see plugserverctl status"))
		}
	}
	return some, nil
}

// writeDetails writes what of a handler does not fit into a table.
func writeDetails(w *bytes.Buffer, handlers []api.Handler) {
	for _, h := range handlers {
		w.WriteString("\n")
		for _, p := range h.Patterns {
			w.WriteString(terminal.Wrap("", "  ", h.Name+" serves "+p, columns))
		}
		if h.LogDropped > 0 {
			w.WriteString(terminal.Wrap("", "  ", fmt.Sprintf("%s: %d log records were dropped since its process began: set LogRateLimitBurst= in plugserverd.conf(5) for more", h.Name, h.LogDropped), columns))
		}
	}
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
	io.WriteString(w, terminal.EscapeJSON(b.String()))
	return nil
}

// columns is what the table and the text around it fit into: the width of the
// terminal, where there is one. It is set before a command runs.
var columns = 100

// leastColumns is what the first and the last column of a table have at least:
// where there is not so much, others go.
const leastColumns = 20

// column is one of a table's. The first and the last share what the others
// leave, so those have a widest.
type column struct {
	title  string
	right  bool
	widest int // 0: no limit of its own
	cell   func(h api.Handler, now time.Time) string
	fit    func(h api.Handler, limit int) string // of the last, in place of cell
	drop   int                                   // its turn to go where there is no room; 0: it stays
}

var (
	nameColumn  = column{"NAME", false, 0, func(h api.Handler, _ time.Time) string { return terminal.Escape(h.Name) }, nil, 0}
	stateColumn = column{"STATE", false, 12, func(h api.Handler, _ time.Time) string { return state(h) }, nil, 0}
	pidColumn   = column{"PID", true, 7, func(h api.Handler, _ time.Time) string { return terminal.PID(h.PID) }, nil, 6}
)

// routesTable tells what is served, resourcesTable at what cost.
var (
	routesTable = []column{
		nameColumn, stateColumn,
		{"VERSION", false, 12, func(h api.Handler, _ time.Time) string { return terminal.OrDash(terminal.Escape(h.Version)) }, nil, 3},
		pidColumn,
		{"SINCE", true, 7, func(h api.Handler, now time.Time) string { return terminal.Age(h.Since, now) }, nil, 4},
		{"REQUESTS", true, 8, func(h api.Handler, _ time.Time) string { return terminal.Count(h.Requests) }, nil, 5},
		{"INFLIGHT", true, 8, func(h api.Handler, _ time.Time) string { return terminal.Count(h.InFlight) }, nil, 1},
		{"MEMORY", true, 7, func(h api.Handler, _ time.Time) string { return terminal.Size(h.MemoryBytes) }, nil, 2},
		{"PATTERNS", false, 0, nil, func(h api.Handler, limit int) string { return patterns(h.Patterns, limit) }, 0},
	}
	resourcesTable = []column{
		nameColumn, stateColumn, pidColumn,
		{"RESTARTS", true, 8, func(h api.Handler, _ time.Time) string { return terminal.Count(int64(h.Restarts)) }, nil, 5},
		{"CPU", true, 7, func(h api.Handler, _ time.Time) string { return terminal.Spent(h.CPUSeconds) }, nil, 2},
		{"THREADS", true, 7, func(h api.Handler, _ time.Time) string { return terminal.OrDash(terminal.Some(h.Threads)) }, nil, 1},
		{"FILES", true, 15, func(h api.Handler, _ time.Time) string {
			return terminal.Of(terminal.Some(h.Descriptors), terminal.Some(h.LimitNOFILE))
		}, nil, 3},
		{"PRIVATE", true, 15, func(h api.Handler, _ time.Time) string {
			return terminal.Of(terminal.Size(h.PrivateBytes), terminal.Size(h.MemoryMax))
		}, nil, 7},
		{"CELL", false, 0, nil, func(h api.Handler, limit int) string { return terminal.Truncate(cellOf(h), limit) }, 0},
	}
)

const gap = "  "

// writeStatus writes st as people read it.
func writeStatus(w *bytes.Buffer, st api.Status, table []column, now time.Time) {
	d := st.Daemon
	w.WriteString(terminal.Wrap("", "  ", fmt.Sprintf("plugserverd %s, pid %s, gate %s, up %s, %s",
		d.Version, terminal.PID(d.PID), terminal.PID(d.GatePID), terminal.Age(d.Since, now), d.Handlers), columns))
	if len(d.Listeners) > 0 {
		w.WriteString(terminal.Wrap("", "  ", "listening on "+strings.Join(d.Listeners, ", "), columns))
	}
	if d.Problem != "" {
		w.WriteString(terminal.Wrap("problem: ", "  ", d.Problem, columns))
	}
	for _, n := range d.Notes {
		w.WriteString(terminal.Wrap("note: ", "  ", n, columns))
	}
	w.WriteString("\n")
	if len(st.Handlers) == 0 {
		w.WriteString(terminal.Wrap("", "  ", "no handlers yet; copy a compiled plugin (NAME.so) into "+d.Handlers, columns))
		return
	}
	writeTable(w, table, st.Handlers, now)

	if slices.ContainsFunc(st.Handlers, func(h api.Handler) bool { return h.Earlier }) {
		w.WriteString("\n" + terminal.Wrap("* ", "  ", "the version shown is an earlier one than that of the newest file", columns))
	}
	for _, h := range st.Handlers {
		if h.Doing != "" {
			w.WriteString("\n" + terminal.Wrap("", "  ", h.Name+": "+h.Doing, columns))
		}
		if h.Refusal == nil {
			continue
		}
		w.WriteString("\n" + terminal.Wrap("", "  ", h.Name+": "+h.Refusal.Reason, columns))
		writeFixes(w, "  ", h.Refusal.Mend, h.Refusal.Or)
	}
}

func writeTable(w *bytes.Buffer, table []column, handlers []api.Handler, now time.Time) {
	for {
		least := leastColumns + len(gap)*(len(table)-1)
		next := -1
		for c, col := range table {
			if col.widest > 0 {
				taken := len(col.title)
				for _, h := range handlers {
					taken = max(taken, terminal.Width(col.cell(h, now)))
				}
				least += min(taken, col.widest)
			}
			if col.drop > 0 && (next < 0 || col.drop < table[next].drop) {
				next = c
			}
		}
		if least <= columns || next < 0 {
			break
		}
		table = slices.Delete(slices.Clone(table), next, next+1)
	}
	first, last := 0, len(table)-1
	rows := make([][]string, len(handlers))
	widths := make([]int, len(table))
	for c, col := range table {
		widths[c] = len(col.title)
	}
	for i, h := range handlers {
		rows[i] = make([]string, len(table))
		for c, col := range table {
			if c == last {
				rows[i][c] = col.fit(h, math.MaxInt)
			} else {
				rows[i][c] = col.cell(h, now)
			}
			widths[c] = max(widths[c], terminal.Width(rows[i][c]))
		}
	}
	room := columns - len(gap)*last
	for c, col := range table {
		if col.widest > 0 {
			widths[c] = min(widths[c], col.widest)
			room -= widths[c]
		}
	}
	// Where both are too long the first gets half, or what the last leaves.
	if widths[first]+widths[last] > room {
		widths[first] = min(widths[first], max(room/2, room-widths[last]))
		widths[last] = room - widths[first]
	}

	titles := make([]string, len(table))
	for c, col := range table {
		titles[c] = col.title
	}
	writeRow(w, table, titles, widths)
	for i, row := range rows {
		row[last] = table[last].fit(handlers[i], widths[last])
		writeRow(w, table, row, widths)
	}
}

func writeRow(w *bytes.Buffer, table []column, row []string, widths []int) {
	cells := make([]string, len(row))
	for c, s := range row {
		cells[c] = terminal.Pad(s, widths[c], table[c].right)
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
		escaped[i] = terminal.Escape(p)
	}
	if all := strings.Join(escaped, ", "); terminal.Width(all) <= limit {
		return all
	}
	if len(list) == 1 {
		return terminal.Truncate(escaped[0], limit)
	}
	suffix := more(len(list) - 1)
	best := terminal.Truncate(escaped[0], max(limit-len(suffix), 1)) + suffix
	for n, shown := 1, escaped[0]; n < len(list); n++ {
		s := shown + more(len(list)-n)
		if terminal.Width(s) > limit {
			break
		}
		best, shown = s, shown+", "+escaped[n]
	}
	return best
}

func more(n int) string { return fmt.Sprintf(" +%d more", n) }

func state(h api.Handler) string {
	if h.Earlier {
		return terminal.Escape(h.State) + "*"
	}
	return terminal.Escape(h.State)
}

// cellOf names the binary that runs a handler, after the group whose process
// it is.
func cellOf(h api.Handler) string {
	s := terminal.OrDash(terminal.Escape(h.Cell))
	if h.Group != "" {
		return "group " + terminal.Escape(h.Group) + ": " + s
	}
	return s
}
