package handlerdir

import (
	"io"
	"os"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

// What is named and made like a library is told apart, once it is whole; a
// plugin of such a name is a plugin, and a library of another name a mistake.
func TestLibraries(t *testing.T) {
	r := newRoom(t)
	r.rules.Foreign = func(f io.ReaderAt, size int64) *refusal.Error {
		var head [9]byte
		if f.ReadAt(head[:], 0); head[8] == 'C' {
			return badfile.NotGo()
		}
		return nil
	}
	library := func(file string) {
		r.write(file, 20, 20, start)
		f, err := os.OpenFile(r.path(file), os.O_WRONLY, 0)
		r.must(err)
		_, err = f.WriteAt([]byte("C"), 8)
		r.must(err)
		r.must(f.Close())
		r.must(os.Chtimes(r.path(file), start, start))
	}
	library("libc.so")
	library("users.so")
	r.write("libplugin.so", 20, 20, start)
	r.must(os.Symlink("libx.so.1.2", r.path("libx.so")))
	r.must(os.Symlink("plugin.so", r.path("libplug.so")))
	var prev *Snapshot
	for range 2 { // the second knows it from the first
		s, err := Scan(r.dir, r.rules, prev, start.Add(r.rules.Stalled))
		r.must(err)
		got := map[string][2]bool{}
		for _, f := range s.Files {
			got[f.Name] = [2]bool{f.Library, f.Settled}
		}
		for name, want := range map[string][2]bool{
			"libc": {true, false}, "users": {false, true}, "libplugin": {false, true}, "libx": {true, false}, "libplug": {false, false},
		} {
			if got[name] != want {
				t.Errorf("%s: library and settled are %v, want %v", name, got[name], want)
			}
		}
		prev = s
	}
}
