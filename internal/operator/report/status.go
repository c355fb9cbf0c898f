// Package report puts what the daemon answers into the tables and the sentences that
// operators read on a terminal.
package report

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Details writes what of a handler does not fit into a table.
func Details(w *bytes.Buffer, handlers []api.Handler, columns int) {
	for _, h := range handlers {
		if text := ofOne(h, columns); text != "" {
			w.WriteString("\n" + text)
		}
	}
}

// ofOne is Details of one handler.
func ofOne(h api.Handler, columns int) string {
	var w strings.Builder
	verb, instead := served(h)
	for _, p := range h.Patterns {
		w.WriteString(terminal.Wrap("", "  ", h.Name+verb+p, columns))
	}
	if instead != "" {
		w.WriteString(terminal.Wrap("", "  ", h.Name+": "+instead, columns))
	}
	if h.Signed != nil {
		w.WriteString(terminal.Wrap("", "  ", fmt.Sprintf("%s: version %s was %s", h.Name, h.Version, Signed(h.Signed)), columns))
	}
	if h.Origin != nil {
		w.WriteString(terminal.Wrap("", "  ", h.Name+" came from "+Origin(h.Origin), columns))
	}
	if h.LogDropped > 0 {
		w.WriteString(terminal.Wrap("", "  ", fmt.Sprintf("%s: %d log records were dropped since its process began: set LogRateLimitBurst= in plugserverd.conf(5) for more", h.Name, h.LogDropped), columns))
	}
	return w.String()
}

// served is what a handler does with its patterns, and what becomes of requests for them where that is not all.
func served(h api.Handler) (verb, instead string) {
	switch h.State {
	case api.StateQuarantined:
		return " holds ", fmt.Sprintf("requests for what it holds are answered 503, since %s, until a mended file is copied or it is released", h.Since.UTC().Format(time.RFC3339))
	case api.StateCrashed:
		return " holds ", "requests for what it holds wait while it is started again, and are answered 503 where that takes longer than --hold"
	case api.StateCanary:
		return " serves a part of ", ""
	}
	return " serves ", ""
}

// leastColumns is what the first and the last column of a table have at least:
// where there is not so much, others go.
const leastColumns = 20

// A Table is what is told of each handler, column by column.
type Table []column

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

// Routes tells what is served, Resources at what cost.
var (
	Routes = Table{
		nameColumn, stateColumn,
		{"VERSION", false, 12, func(h api.Handler, _ time.Time) string { return terminal.OrDash(terminal.Escape(h.Version)) }, nil, 3},
		pidColumn,
		{"SINCE", true, 7, func(h api.Handler, now time.Time) string { return terminal.Age(h.Since, now) }, nil, 4},
		{"REQUESTS", true, 8, func(h api.Handler, _ time.Time) string { return terminal.Count(h.Requests) }, nil, 5},
		{"INFLIGHT", true, 8, func(h api.Handler, _ time.Time) string { return terminal.Count(h.InFlight) }, nil, 1},
		{"MEMORY", true, 7, func(h api.Handler, _ time.Time) string { return terminal.Size(h.MemoryBytes) }, nil, 2},
		{"PATTERNS", false, 0, nil, func(h api.Handler, limit int) string { return Patterns(h.Patterns, limit) }, 0},
	}
	Resources = Table{
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

// certificate tells of one.
func certificate(c api.Certificate, now time.Time) string {
	verb := "expires"
	if c.NotAfter.Before(now) {
		verb = "has expired"
	}
	return fmt.Sprintf("certificate of %s %s on %s (%d days)", strings.Join(c.Names, ", "), verb,
		c.NotAfter.UTC().Format(time.DateOnly), int(c.NotAfter.Sub(now)/(24*time.Hour)))
}

// Status writes st as people read it.
func Status(w *bytes.Buffer, st api.Status, table Table, now time.Time, columns int) {
	d := st.Daemon
	w.WriteString(terminal.Wrap("", "  ", fmt.Sprintf("plugserverd %s, pid %s, gate %s, up %s, %s",
		d.Version, terminal.PID(d.PID), terminal.PID(d.GatePID), terminal.Age(d.Since, now), d.Handlers), columns))
	if len(d.Listeners) > 0 {
		w.WriteString(terminal.Wrap("", "  ", "listening on "+strings.Join(d.Listeners, ", "), columns))
	}
	for _, c := range d.Certificates {
		w.WriteString(terminal.Wrap("", "  ", certificate(c, now), columns))
	}
	for _, s := range d.Syncs {
		w.WriteString(terminal.Wrap("", "  ", follows(s, now), columns))
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
	writeTable(w, table, st.Handlers, now, columns)

	if slices.ContainsFunc(st.Handlers, func(h api.Handler) bool { return h.Earlier }) {
		w.WriteString("\n" + terminal.Wrap("* ", "  ", "the version shown is an earlier one than that of the newest file", columns))
	}
	for _, h := range st.Handlers {
		if h.Canary != nil {
			w.WriteString("\n" + terminal.Wrap("", "  ", h.Name+": "+canary.Tells(h), columns))
		}
		if h.Doing != "" {
			w.WriteString("\n" + terminal.Wrap("", "  ", h.Name+": "+h.Doing, columns))
		}
		if len(h.Replaced) > 0 {
			w.WriteString("\n" + terminal.Wrap("", "  ", h.Name+": it runs with libraries that were replaced since: "+strings.Join(h.Replaced, ", "), columns))
			terminal.WriteFixes(w, "  ", "plugserverctl restart "+h.Name, nil)
		}
		for _, why := range []*api.Refusal{h.Refusal, h.GaveWay} {
			if why != nil {
				w.WriteString("\n" + terminal.Wrap("", "  ", h.Name+": "+why.Reason, columns))
				terminal.WriteFixes(w, "  ", why.Mend, why.Or)
			}
		}
	}
}

func writeTable(w *bytes.Buffer, table Table, handlers []api.Handler, now time.Time, columns int) {
	table = table.fitting(handlers, now, columns)
	last := len(table) - 1
	rows := make([][]string, len(handlers))
	for i, h := range handlers {
		rows[i] = make([]string, len(table))
		for c, col := range table {
			if c == last {
				rows[i][c] = col.fit(h, math.MaxInt)
			} else {
				rows[i][c] = col.cell(h, now)
			}
		}
	}
	widths := table.widths(rows, columns)
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

// fitting is the table without the columns that there is no room for.
func (t Table) fitting(handlers []api.Handler, now time.Time, columns int) Table {
	for {
		least := leastColumns + len(gap)*(len(t)-1)
		next := -1
		for c, col := range t {
			if col.widest > 0 {
				taken := len(col.title)
				for _, h := range handlers {
					taken = max(taken, terminal.Width(col.cell(h, now)))
				}
				least += min(taken, col.widest)
			}
			if col.drop > 0 && (next < 0 || col.drop < t[next].drop) {
				next = c
			}
		}
		if least <= columns || next < 0 {
			return t
		}
		t = slices.Delete(slices.Clone(t), next, next+1)
	}
}

// widths are those of the columns, which rows are to fit into.
func (t Table) widths(rows [][]string, columns int) []int {
	first, last := 0, len(t)-1
	widths := make([]int, len(t))
	room := columns - len(gap)*last
	for c, col := range t {
		widths[c] = len(col.title)
		for _, row := range rows {
			widths[c] = max(widths[c], terminal.Width(row[c]))
		}
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
	return widths
}

func writeRow(w *bytes.Buffer, table Table, row []string, widths []int) {
	cells := make([]string, len(row))
	for c, s := range row {
		cells[c] = terminal.Pad(s, widths[c], table[c].right)
	}
	w.WriteString(strings.TrimRight(strings.Join(cells, gap), " ") + "\n")
}

// Patterns lists what fits into limit columns, and how many more there are.
func Patterns(list []string, limit int) string {
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

// Refusal writes why a handler is refused, one line a fact, unwrapped.
func Refusal(w io.Writer, name string, r api.Refusal) {
	fmt.Fprintf(w, "refused %s: %s\n", terminal.Escape(name), terminal.Escape(r.Reason))
	terminal.WriteFixes(w, "  ", r.Mend, r.Or)
}

// TakenAway is r with fixes that do not count on its file's lying in the directory: again is how it gets there again.
func TakenAway(r api.Refusal, again string) *api.Refusal {
	fixes := slices.Clone(r.Or)
	for i, fix := range fixes {
		fixes[i] = refusal.TakenAway(fix, again)
	}
	r.Mend, r.Or = refusal.TakenAway(r.Mend, again), fixes
	return &r
}
