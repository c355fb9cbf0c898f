package live

import (
	"fmt"
	"os"
	"strings"

	"github.com/andrestc/go-plugserver/bench/stats"
)

// Page is what is written of measurements, as Markdown.
type Page struct{ tables strings.Builder }

// method says what the rows are.
const method = `# Benchmarks of changes

Written by ` + "`make bench WORK=live`" + `; do not edit.

%s

- %s

A handler's file of %.1f MB is written beside its place and renamed to it. The time is from the rename to the first answer of
the new version, by a client on one connection that asks again 0.1 ms after each answer. "At rest" is a file that was
last changed an hour ago; "rolled back" is a version chosen by an operator. The supervisor's CPU time is all that its process uses until 150 ms
after the change: hashing and copying the file, telling everybody, starting the next cell ahead. "10 replaced/s" is what 16 clients of another handler get
while one is replaced ten times a second, as a multiple of what they get in the second before. Memory is taken once all have
served a request and rest. nginx and Caddy have answers made of their configuration, which is changed and loaded again:
no code is. Tomcat has archives that hold one static file, looks for new ones every 10 seconds as it does by itself, and answers 404 while it changes one. "The least" is what nobody can do without who runs each plugin in a process of its own: a program reads the file, writes a
copy, hashes it by SHA-256 and has Go open that, and stays; a restart opens the copies alone. For a start there are as many of
them at work as processors; ten times a second one takes the place of the one before, beside the same load on the same plugserver. All free memory was written to once before: in a virtual machine the first to write to a page may wait for the host, which is
no work of the server's.

Median (least–greatest), and the 99th of a hundred.
`

// table adds what was measured with so many handlers.
func (p *Page) table(s Spec, all []figures) {
	head, line := fmt.Sprintf("\n## %d handlers\n\n| what |", s.Handlers), "\n| --- |"
	for i, b := range s.Builds {
		head, line = head+" "+b.Name+" |", line+" ---: |"
		if i > 0 {
			head, line = head+" ÷ "+s.Builds[0].Name+" |", line+" ---: |"
		}
	}
	p.tables.WriteString(head + line + "\n")
	for _, row := range rows {
		p.tables.WriteString("| " + row + " |")
		for i := range s.Builds {
			v := all[i][row]
			p.tables.WriteString(" " + figure(v) + " |")
			if base := all[0][row]; i > 0 && len(v) > 0 && len(base) > 0 {
				fmt.Fprintf(&p.tables, " %.2f |", stats.Of(v).Median/stats.Of(base).Median)
			} else if i > 0 {
				p.tables.WriteString(" – |")
			}
		}
		p.tables.WriteString("\n")
	}
}

// peer adds what a change costs elsewhere.
func (p *Page) peer(name, what string, took, cpu []float64) {
	fmt.Fprintf(&p.tables, "\n%s, %s: %s ms, CPU %v ms a change (%d changes).\n", name, what, figure(took), stats.Of(cpu), len(took))
}

// shared adds what handlers cost that share one cell.
func (p *Page) shared(each float64, took, cpu []float64) {
	fmt.Fprintf(&p.tables, "\nAll in one cell (Cell=): PSS %.2f MiB a handler; one replaced, just written, %s ms; CPU of all processes until it is in the one cell again %v ms a change.\n", each, figure(took), stats.Of(cpu))
}

func figure(v []float64) string {
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.2f", v[0])
	}
	return fmt.Sprintf("%v %.2f", stats.Of(v), stats.Quantile(v, 0.99))
}

// Write writes the page to a file; what says of what, machine on what, and bytes how long a plugin is.
func (p *Page) Write(path, what string, machine []string, bytes int) error {
	text := fmt.Sprintf(method, what, strings.Join(machine, "\n- "), float64(bytes)/1e6) + p.tables.String()
	return os.WriteFile(path, []byte(text), 0o644)
}
