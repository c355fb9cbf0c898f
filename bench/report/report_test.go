package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/bench/run"
)

func TestWrite(t *testing.T) {
	row := func(peer string, n float64) run.Row {
		return run.Row{Peer: peer, PerSecond: []float64{100 * n, 200 * n}, CPU: []float64{10 / n, 20 / n}, Busy: []float64{0.5, 0.5}}
	}
	r := &Report{
		Note: "Before <all>.", When: time.Now(), Commit: "commit x", Machine: []string{"a machine"}, Rounds: 2, Each: time.Second,
		Peers:   []run.Peer{{Name: run.Compiled}, {Name: "plugserver"}, {Name: "away"}},
		Results: []Result{{run.Work{Name: "keepalive", About: "hello & world"}, []run.Row{row(run.Compiled, 1), row("plugserver", 0.25)}}},
	}
	dir := filepath.Join(t.TempDir(), "docs")
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"**Before <all>.**", "| keepalive | 4.00 | – |", "| keepalive | 0.25 | – |",
		"| plugserver | 38 (25–50) | 0.25 (0.25–0.25) | 60.00 (40.00–80.00) | 4.00 (4.00–4.00) | 50 % |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, name := range []string{"benchmarks-cpu.svg", "benchmarks-requests.svg"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(f); err == nil; {
			_, err = d.Token()
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		f.Close()
	}
}
