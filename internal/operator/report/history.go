package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// Signed tells by which key a version was signed.
func Signed(s *api.Signed) string {
	text := "signed with the key " + s.Key
	if s.Version != "" {
		text += " as version " + s.Version
	}
	if !s.Time.IsZero() {
		text += " on " + s.Time.UTC().Format(time.DateOnly)
	}
	return terminal.Escape(text)
}

// verdict tells what became of a canary.
func verdict(v api.Verdict) string {
	if v.Promoted {
		return "promoted: " + terminal.Escape(v.Why)
	}
	return "withdrawn: " + terminal.Escape(v.Why)
}

// History writes the versions of a handler that can be served.
func History(w io.Writer, h api.History, now time.Time) {
	if len(h.Versions) == 0 {
		fmt.Fprintf(w, "%s has no version that was live\n", terminal.Escape(h.Name))
		return
	}
	fmt.Fprintf(w, "%-12s  %-20s  %5s\n", "VERSION", "LIVE", "AGE")
	for _, v := range h.Versions {
		var notes []string
		for _, n := range []struct {
			is   bool
			what string
		}{{v.Current, "serves"}, {v.Bad, "crashed too often"}, {v.Held, "rolled back"}} {
			if n.is {
				notes = append(notes, n.what)
			}
		}
		if v.Verdict != nil {
			notes = append(notes, verdict(*v.Verdict))
		}
		if v.Signed != nil {
			notes = append(notes, Signed(v.Signed))
		}
		live := "-"
		if !v.Live.IsZero() {
			live = v.Live.UTC().Format("2006-01-02T15:04:05Z")
		}
		line := fmt.Sprintf("%s  %-20s  %5s  %s", terminal.Pad(terminal.Escape(v.Version), 12, false), live, terminal.Age(v.Live, now), strings.Join(notes, ", "))
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
