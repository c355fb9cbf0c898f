package check

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/file/elfplug"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// What a report shows of long lists; --json has all.
const (
	mostModules  = 20
	mostExports  = 20
	mostPackages = 5
	mostOutput   = 20
)

// Write writes what the file says, then the steps taken so far.
func (r *Report) Write(w io.Writer, columns int) {
	fact(w, columns, "file", fmt.Sprintf("%s, %s, version %s", r.File, terminal.Size(r.Size), terminal.OrDash(r.Version)))
	if r.Go != "" {
		fact(w, columns, "built by", strings.Join(append([]string{r.Go}, r.flags()...), " "))
		fact(w, columns, "package", r.Package)
		var list []string
		for _, m := range r.Modules {
			line := m.Path + " " + m.Version
			if m.Replace != "" {
				line += " => " + m.Replace
			}
			list = append(list, line)
		}
		fact(w, columns, "modules", most(list, mostModules)...)
		if rev := r.Settings["vcs.revision"]; rev != "" {
			rev += " of " + r.Settings["vcs.time"]
			if r.Settings["vcs.modified"] == "true" {
				rev += ", modified"
			}
			fact(w, columns, "revision", rev)
		}
		fact(w, columns, "exports", strings.Join(most(r.Exports, mostExports), ", "))
	}
	io.WriteString(w, "\n")
	for _, s := range r.Steps {
		s.Write(w)
	}
}

// flags are the settings that people choose.
func (r *Report) flags() (list []string) {
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		value := r.Settings[name]
		switch {
		case name == "-buildmode", name == "-compiler":
		case strings.HasPrefix(name, "-") && value == "true":
			list = append(list, name)
		case strings.HasPrefix(name, "-"), slices.Contains([]string{"GOAMD64", "GOEXPERIMENT", "GOFIPS140", "DefaultGODEBUG"}, name):
			list = append(list, name+"="+value)
		}
	}
	return list
}

// fact writes what a file says of itself.
func fact(w io.Writer, columns int, name string, values ...string) {
	first := fmt.Sprintf("%-10s", name)
	for _, v := range values {
		io.WriteString(w, terminal.Wrap(first, strings.Repeat(" ", len(first)), v, columns))
		first = strings.Repeat(" ", len(first))
	}
}

// most returns the first n of list, and how many more there are.
func most(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), fmt.Sprintf("and %d more", len(list)-n))
}

// Write writes one line a fact, unwrapped: fixes are there to be pasted.
func (s Step) Write(w io.Writer) {
	verdict := "[OK]"
	if !s.OK {
		verdict = "[KO]"
	}
	fmt.Fprintf(w, "%s %s\n", verdict, terminal.Escape(s.Reason))
	packages := 0
	for _, m := range s.Mismatches {
		if m.Kind == elfplug.MismatchPackage {
			if packages++; packages > mostPackages {
				continue
			}
		}
		fmt.Fprintf(w, "     %s: have %s, want %s\n", terminal.Escape(strings.TrimSpace(m.Kind+" "+m.Name)), m.word(m.Have), m.word(m.Want))
	}
	if more := packages - mostPackages; more > 0 {
		fmt.Fprintf(w, "     and %d packages more\n", more)
	}
	terminal.WriteFixes(w, "     ", s.Mend, s.Or)
	if len(s.Output) > 0 {
		io.WriteString(w, "     it printed:\n")
		for _, line := range s.Output[max(0, len(s.Output)-mostOutput):] {
			fmt.Fprintf(w, "     | %s\n", terminal.Line(line))
		}
	}
}

// word is a value of m's.
func (m Mismatch) word(value string) string {
	switch {
	case value == "":
		return "unset"
	case m.Kind == elfplug.MismatchFlag && value == "true":
		return "set"
	}
	return terminal.Escape(value)
}
