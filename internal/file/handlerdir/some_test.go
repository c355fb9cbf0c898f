package handlerdir

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

// A look at the names that have changed sees what a look at all sees.
func TestScanSomeSeesWhatScanSees(t *testing.T) {
	for seed := range uint64(20) {
		r := newRoom(t)
		r.rules.SourceQuiet, r.rules.Gone = 100*time.Millisecond, 200*time.Millisecond
		random, now := rand.New(rand.NewPCG(seed, 0)), start
		names := []string{"a.so", "a.go", "b.so", "c.so", "pack", ".next", "d.so", "note"}
		prev := r.scan(nil, now)
		for range 60 {
			now = now.Add(time.Duration(random.IntN(300)) * time.Millisecond)
			var changed []string
			for range random.IntN(3) {
				name := names[random.IntN(len(names))]
				r.alter(name, names[random.IntN(len(names))], random.IntN(6), now)
				changed = append(changed, names...) // of a rename both, and what a link leads to
				if random.IntN(2) == 0 {
					break
				}
			}
			if len(changed) == 0 && random.IntN(2) == 0 {
				changed = []string{"nothing", ".hidden"}
			}
			want := r.scan(prev, now)
			got, err := ScanSome(r.dir, r.rules, prev, changed, now)
			r.must(err)
			if !reflect.DeepEqual(lasting(got), lasting(want)) {
				t.Fatalf("seed %d, changed %q:\ngot\n%s%+v\nwant\n%s%+v", seed, changed, verdicts(got), got, verdicts(want), want)
			}
			prev = got
		}
	}
}

// lasting is a snapshot without the ages of files that are judged: nothing asks for them.
func lasting(s *Snapshot) Snapshot {
	all := *s
	all.Files = slices.Clone(s.Files)
	for i := range all.Files {
		if all.Files[i].final {
			all.Files[i].since = time.Time{}
		}
	}
	return all
}

// alter makes one change of an entry, if it can be made.
func (r *room) alter(name, other string, how int, now time.Time) {
	r.t.Helper()
	path := r.path(name)
	os.RemoveAll(path)
	switch how {
	case 0: // it is gone
	case 1:
		os.Rename(r.path(other), path)
	case 2:
		os.Symlink(other, path)
	case 3:
		r.must(os.Mkdir(path, 0o755))
		r.must(os.WriteFile(filepath.Join(path, "main.go"), []byte("package main"), 0o644))
	case 4:
		r.write(name, 8, 10, now) // a part
	default:
		r.write(name, 10, 10, now.Add(-time.Minute))
	}
}

// The others are not even looked at, but for those whose verdict may change without an event
// of theirs.
func TestScanSomeLooksAtNoMore(t *testing.T) {
	r := newRoom(t)
	elsewhere := filepath.Join(t.TempDir(), "x.so")
	for _, file := range []string{"a.so", "b.so", "half.so", ".x.so"} {
		r.write(file, 10, 10, start.Add(-time.Minute))
	}
	r.write("half.so", 10, 20, start)
	r.must(os.Rename(r.path(".x.so"), elsewhere))
	r.must(os.Symlink(elsewhere, r.path("link.so")))
	prev := r.scan(nil, start)
	r.want(prev, r.rules.Quiet, "a settled", "b settled", "half waits", "link settled")

	for _, file := range []string{"a.so", "b.so", "new.so"} {
		r.write(file, 0, 0, start)
	}
	r.write("half.so", 20, 20, start.Add(-time.Minute))
	r.must(os.Remove(elsewhere))
	s, err := ScanSome(r.dir, r.rules, prev, []string{"b.so"}, start.Add(time.Second))
	r.must(err)
	r.want(s, r.rules.Stalled-2*time.Second+time.Second, "a settled", "b waits", "half settled", "link refused: file is a symbolic link that leads nowhere")
	if s, err = ScanSome(r.dir, r.rules, s, nil, start.Add(time.Second)); err == nil {
		r.want(s, time.Second, "a settled", "b waits", "half settled", "link refused: file is a symbolic link that leads nowhere")
	}
	r.must(err)

	// Another directory is seen whole, and so is one of which something is skipped.
	for _, skipped := range []string{"", "b"} {
		r.rules.Skip = func(name string) bool { return name == skipped }
		if skipped == "" {
			r.must(os.Rename(r.dir, r.dir+".old"))
			r.must(os.Mkdir(r.dir, 0o755))
			r.write("b.so", 10, 10, start.Add(-time.Minute))
		} else {
			s = r.scan(s, start)
			r.write("z.so", 10, 10, start.Add(-time.Minute))
		}
		s, err = ScanSome(r.dir, r.rules, s, nil, start.Add(time.Second))
		r.must(err)
		if want := r.scan(nil, start.Add(time.Second)); verdicts(s) != verdicts(want) {
			t.Errorf("got\n%swant\n%s", verdicts(s), verdicts(want))
		}
	}
}
