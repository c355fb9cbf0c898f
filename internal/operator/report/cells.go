package report

import (
	"bytes"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// CellJSON is a cell with --json: fields are added in later versions, never
// renamed.
type CellJSON struct {
	Name     string            `json:"name"`
	Path     string            `json:"path"`
	Origin   string            `json:"origin"` // "packaged", "shared" or "own"
	Auto     bool              `json:"auto"`   // deleted once no handler needs it
	Go       string            `json:"go"`
	Settings map[string]string `json:"settings"` // of its build, as go version -m names them
	Size     int64             `json:"size_bytes"`
	Modified time.Time         `json:"modified"`
	Refusal  *refusal.Error    `json:"refusal,omitempty"` // why it is never used
}

func JSON(c catalogue.Binary) CellJSON {
	j := CellJSON{
		Name: c.Name, Path: c.Path, Origin: string(c.Origin), Auto: c.Auto,
		Settings: map[string]string{}, Size: c.Size, Modified: c.Modified.UTC().Truncate(time.Second), Refusal: c.Ignored,
	}
	if c.Info != nil {
		j.Go, j.Settings = c.Info.GoVersion, c.Info.Settings
	}
	return j
}

// Cells writes the list as people read it.
func Cells(w *bytes.Buffer, list []catalogue.Binary, now time.Time, columns int) {
	if len(list) == 0 {
		w.WriteString("no cells; install the package, or add one: plugserverctl cell add CELL\n")
		return
	}
	rows := [][]string{{"NAME", "GO", "FROM", "SIZE", "AGE"}}
	for _, c := range list {
		release := "-"
		if c.Info != nil {
			release = elfplug.Release(c.Info.GoVersion)
		}
		from := string(c.Origin)
		if c.Auto {
			from += ", while needed"
		}
		name := c.Name
		if c.Ignored != nil {
			name += "*"
		}
		rows = append(rows, []string{terminal.Escape(name), terminal.Escape(release), from, terminal.Size(c.Size), terminal.Age(c.Modified, now)})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, s := range row {
			widths[i] = max(widths[i], terminal.Width(s))
		}
	}
	for _, row := range rows {
		for i, s := range row {
			row[i] = terminal.Pad(s, widths[i], i >= 3)
		}
		w.WriteString(strings.TrimRight(strings.Join(row, gap), " ") + "\n")
	}
	for _, c := range list {
		if c.Ignored != nil {
			w.WriteString("\n" + terminal.Wrap("", "  ", c.Name+" is not used: "+c.Ignored.Reason, columns))
			terminal.WriteFixes(w, "  ", c.Ignored.Mend, c.Ignored.Or)
		}
	}
}
