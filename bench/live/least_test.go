package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// standIn is a program in the place of the least, in shell.
func standIn(t *testing.T, script string) (*Least, *Daemon) {
	t.Helper()
	dir := t.TempDir()
	d, err := NewDaemon(dir, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if err := os.WriteFile(d.Path(nameOf(n)), []byte(nameOf(n)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "least")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &Least{bin}, d
}

// All are copied and opened, and opened again out of the copies; each stays until all are.
func TestLeastStarts(t *testing.T) {
	l, d := standIn(t, `
d=$(dirname "$0"); if [ "$2" ]; then cp "$1" "$2" && echo first >>"$d/log"; else grep -q h000 "$1" && echo again >>"$d/log"; fi
echo open; cat; echo end >>"$d/log"
`)
	f := make(figures)
	if err := l.starts(d, 5, f); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(d.dir, "log"))
	want := ""
	for _, line := range []string{"first\n", "end\n", "again\n", "end\n"} {
		want += strings.Repeat(line, 5)
	}
	if err != nil || string(log) != want {
		t.Errorf("%v, it was run so: %q, want %q", err, log, want)
	}
	if len(f[rows[leastStartRow]]) != 1 || len(f[rows[leastStartRow+1]]) != 1 {
		t.Errorf("figures %v", f)
	}
	if _, err := os.Stat(filepath.Join(d.dir, leastDir)); err == nil {
		t.Error("it leaves its folder")
	}
}

// One that cannot open its plugin is told.
func TestLeastFails(t *testing.T) {
	l, d := standIn(t, "echo no")
	if err := l.starts(d, 2, make(figures)); err == nil {
		t.Error("what does not open has started")
	}
}

// At each interval the next one takes the place of the one before.
func TestLeastReplaces(t *testing.T) {
	l, d := standIn(t, `
d=$(dirname "$0"); cp "$1" "$2" && echo "$(cat "$2") open" >>"$d/log"; echo open; cat; echo end >>"$d/log"; [ "$(wc -l <"$d/log")" -lt 6 ] || touch "$d/enough"
`)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- l.replace(d, [][]byte{[]byte("even"), []byte("odd")}, stop)
	}()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(d.dir, "enough")); err == nil {
			break
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if want := "odd open\neven open\nend\nodd open\nend\neven open\nend\n"; err != nil || len(log) < len(want) || string(log[:len(want)]) != want {
		t.Errorf("%v, it was run so: %q, want %q", err, log, want)
	}
	if _, err := os.Stat(filepath.Join(d.dir, leastDir)); err == nil {
		t.Error("it leaves its folder")
	}
}
