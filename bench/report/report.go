// Package report writes what has been measured, as text and as pictures.
package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/run"
	"github.com/andrestc/go-plugserver/bench/stats"
)

// Report is one whole run.
type Report struct {
	Short   bool // judges nothing, and is not written
	Note    string
	When    time.Time
	Commit  string
	Machine []string // and versions, a line each
	Rounds  int
	Each    time.Duration
	Peers   []run.Peer
	Results []Result
}

// Result is what was measured at one work; the first row is compiled in.
type Result struct {
	Work run.Work
	Rows []run.Row
}

// Write writes benchmarks.md and its pictures into the folder.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"benchmarks.md":           r.text(),
		"benchmarks-cpu.svg":      r.plot("CPU time per request, as a multiple of compiled in (less is better)", cpuRatio),
		"benchmarks-requests.svg": r.plot("Requests per second, as a multiple of compiled in (more is better)", requestsRatio),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func cpuRatio(row, compiled run.Row) stats.Summary {
	_, cpu := run.Ratios(row, compiled)
	return cpu
}

func requestsRatio(row, compiled run.Row) stats.Summary {
	perSecond, _ := run.Ratios(row, compiled)
	return perSecond
}

func (r *Report) text() string {
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `make bench`; do not edit.\n\n")
	if r.Note != "" {
		fmt.Fprintf(&b, "**%s**\n\n", r.Note)
	}
	fmt.Fprintf(&b, "Measured on %s, plugserver at %s, %d rounds of %v each.\n\n", r.When.Format("2 January 2006"), r.Commit, r.Rounds, r.Each)
	for _, line := range r.Machine {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	b.WriteString(method)
	b.WriteString("\n## The peers\n\n| peer | what it is |\n| --- | --- |\n")
	for _, p := range r.Peers {
		fmt.Fprintf(&b, "| %s | %s |\n", p.Name, p.About)
	}
	b.WriteString("\n## CPU time per request, as a multiple of compiled in\n\nMedians; the spread is below.\n\n")
	r.matrix(&b, cpuRatio)
	b.WriteString("\n![CPU time per request](benchmarks-cpu.svg)\n\n## Requests per second, as a multiple of compiled in\n\n")
	r.matrix(&b, requestsRatio)
	b.WriteString("\n![Requests per second](benchmarks-requests.svg)\n\n## All figures\n\nMedian (least–greatest) of the rounds.\n")
	for _, res := range r.Results {
		res.table(&b)
	}
	return b.String()
}

const method = `
## Method

All peers of a kind of traffic run at once, and each round measures each of them, one after the other, there and back again
in the next round; a ratio is that of two measurements in the same round, so that what slows a whole round slows both. The
table has the median of the rounds' ratios. Before each measurement the load runs unmeasured for a fifth of a second.

CPU time is utime and stime of all processes of the server, a proxy and what is behind it too, by the clocks of the
processes (clock_getcpuclockid(3), nanoseconds). The load generator is a process of its own on the same machine, with one thread and
one epoll, or of TLS and HTTP/2 a goroutine for each connection, on one core; its CPU time is not counted, but takes from the cores that the server has: so requests per second depend on it, and the ratio of
CPU times is the steadier one. "load" is how much of its one core it needed: near 100 % it is what limits the peer, and the peer could do more.
It checks status and body of every answer; one that is wrong, missing or closes a connection that was to be
kept fails the whole run.

The handlers are plugserver's samples hello and bye, and the plugins in bench/plugins; compiled in are the same functions. All Go servers have
the time limits of plugserverd. nginx and Caddy are Debian's, with their defaults but for: no access log, no limit on the
requests of a connection, 64 pooled connections to what is behind them; they take TLS and HTTP/2 off, and speak HTTP/1.1 to that. The
certificate is an ECDSA one of P-256; each peer has its own defaults of protocols and ciphers beyond that. The handlers of go-plugin and wazero get method, path and body alone,
and can neither stream nor upgrade; wazero has two instances per core.
`

// matrix writes a table of medians: a line per work, a column per peer.
func (r *Report) matrix(b *strings.Builder, of func(row, compiled run.Row) stats.Summary) {
	b.WriteString("| traffic |")
	for _, p := range r.Peers[1:] {
		fmt.Fprintf(b, " %s |", p.Name)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(r.Peers)-1) + "\n")
	for _, res := range r.Results {
		fmt.Fprintf(b, "| %s |", res.Work.Name)
		for _, p := range r.Peers[1:] {
			cell := "–"
			for _, row := range res.Rows {
				if row.Peer == p.Name {
					cell = fmt.Sprintf("%.2f", of(row, res.Rows[0]).Median)
				}
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		b.WriteString("\n")
	}
}

func (res Result) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n### %s\n\n%s.\n\n", res.Work.Name, res.Work.About)
	b.WriteString("| peer | requests/s | ÷ compiled in | CPU µs/request | ÷ compiled in | load |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, row := range res.Rows {
		perSecond, cpu := run.Ratios(row, res.Rows[0])
		s := stats.Of(row.PerSecond)
		fmt.Fprintf(b, "| %s | %.0f (%.0f–%.0f) | %v | %v | %v | %.0f %% |\n", row.Peer, s.Median, s.Min, s.Max,
			perSecond, stats.Of(row.CPU), cpu, 100*stats.Of(row.Busy).Median)
	}
}
