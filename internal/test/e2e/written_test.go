package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// However slowly and in whatever order a file is written, it goes live once and
// whole: no mixture of two builds does, and nothing is refused meanwhile.
func TestWrittenSlowly(t *testing.T) {
	one := plain(t, "/w", "one")
	// With its symbols, so that nothing is where it was.
	two := testbed.Source{Files: map[string]string{"main.go": plainSource}}.Build(t).
		Patched(t, patternSlot, "PATTERN:/w", versionSlot, "VERSION:two")
	const pieces, pause = 24, 50 * time.Millisecond
	inOrder := func(i int) int { return i }
	outOfOrder := func(i int) int { return (i*7 + 3) % pieces }
	for _, tt := range []struct {
		name   string
		over   bool // the version before
		size   bool // it gets its size first
		closes bool // after each piece
		order  func(int) int
	}{
		{"over the old one, kept open", true, false, false, inOrder},
		{"over the old one, closed after each piece", true, false, true, inOrder},
		{"over the old one, in any order", true, false, false, outOfOrder},
		{"new, its size first", false, true, false, inOrder},
		{"new, in any order", false, true, false, outOfOrder},
		{"new, in any order, closed after each piece", false, true, true, outOfOrder},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := testbed.Start(t)
			if tt.over {
				d.Put("w", one)
			}
			mark := d.Log.Len()
			write(t, d.Path("w"), two.Bytes, pieces, tt.order, tt.size, tt.closes, pause)
			d.WaitLive(mark, "w", two)
			d.Want("/w", 200, "two")
			for _, e := range d.Log.From(mark) {
				if event := e.Get("event"); event == "refused" || event == "live" && e.Get("version") != two.Version {
					t.Errorf("meanwhile: %s", e.Raw)
				}
			}
			if tt.over {
				ctl(t, d, 0, "version "+one.Version, "rollback", "w")
				d.Want("/w", 200, "one")
			}
		})
	}
}

// Builds that are copied over each other within seconds are versions to go back
// to, each: none can be taken for a part of the next one's writing.
func TestCopiedOverSoon(t *testing.T) {
	d := testbed.Start(t)
	build := func(version string) testbed.Plugin {
		text := strings.NewReplacer(patternSlot, "PATTERN:/w", versionSlot, "VERSION:"+version).Replace(plainSource)
		return testbed.Go(text).Build(t)
	}
	var all []testbed.Plugin
	for _, version := range []string{"one", "two", "three"} {
		all = append(all, build(version))
	}
	d.Put("w", all[0])
	for _, p := range all[1:] {
		mark := d.Log.Len()
		d.CopyInPlace("w", p)
		d.WaitLive(mark, "w", p)
	}
	ctl(t, d, 0, "version "+all[1].Version, "rollback", "w")
	d.Want("/w", 200, "two")
}

// write writes a file in pieces, with pauses in between.
func write(t *testing.T, path string, content []byte, pieces int, order func(int) int, size, closes bool, pause time.Duration) {
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open()
	defer func() { f.Close() }()
	if size {
		if err := f.Truncate(int64(len(content))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * pause)
	}
	n := (len(content) + pieces - 1) / pieces
	for i := range pieces {
		at := order(i) * n
		if _, err := f.WriteAt(content[at:min(at+n, len(content))], int64(at)); err != nil {
			t.Fatal(err)
		}
		if i == pieces-1 {
			break
		}
		if closes {
			f.Close()
			f = open()
		}
		time.Sleep(pause)
	}
	if err := f.Truncate(int64(len(content))); err != nil {
		t.Fatal(err)
	}
}
