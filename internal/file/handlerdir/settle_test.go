package handlerdir

import (
	"io"
	"os"
	"testing"
	"time"
)

// overwrite changes a file in place, touched last at mtime.
func (r *room) overwrite(file string, size, need int, mtime time.Time) {
	r.t.Helper()
	ino := func() uint64 { return r.scan(nil, start.Add(time.Hour)).Files[0].ID.Ino }
	before := ino()
	r.write(file, size, need, mtime)
	if after := ino(); after != before {
		r.t.Fatalf("inode %d became %d", before, after)
	}
}

// A file that is written over in place is complete all the time, by its own
// account: it takes its writer's close, or a longer rest.
func TestWrittenOver(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name        string
		open, known bool
		want        time.Duration
	}{
		{"nothing is known of its writer", false, false, 1000 * ms},
		{"its writer has closed it", false, true, 100 * ms},
		{"its writer has it open", true, true, 30000 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoom(t)
			r.rules.Rewrite, r.rules.Unsure, r.rules.Open = 100*ms, 1000*ms, 30000*ms
			known, open := false, false
			r.rules.Writing = func(name string) (bool, bool) {
				if name != "a.so" {
					t.Errorf("asked for %q", name)
				}
				return open, known
			}
			r.write("a.so", 100, 100, start)
			s := r.scan(nil, start.Add(25*ms))
			r.want(s, 0, "a settled")
			if s.Files[0].Over {
				t.Error("the first content is over another")
			}
			known, open = tt.known, tt.open
			now := start.Add(time.Minute)
			for range 3 { // each write begins the rest anew
				now = now.Add(tt.want - ms)
				r.overwrite("a.so", 100, 100, now)
				s = r.scan(s, now)
				r.want(s, tt.want, "a waits")
				s = r.scan(s, now.Add(tt.want-ms))
				r.want(s, ms, "a waits")
			}
			s = r.scan(s, now.Add(tt.want))
			r.want(s, 0, "a settled")
			if !s.Files[0].Over {
				t.Error("it is not over another")
			}
			// Another file renamed over it is a new one.
			known, open = false, false
			r.must(os.Rename(r.write("new", 100, 100, now), r.path("a.so")))
			s = r.scan(s, now.Add(25*ms))
			r.want(s, 0, "a settled")
			if s.Files[0].Over {
				t.Error("another file is over the one before")
			}
		})
	}
}

// Part of a file that its writer has open is waited for longer, and is settled
// once it is whole and closed.
func TestOpenFileIsNotRefused(t *testing.T) {
	r := newRoom(t)
	r.rules.Open = 30 * time.Second
	open := true
	r.rules.Writing = func(string) (bool, bool) { return open, true }
	r.write("a.so", 100, 200, start)
	s := r.scan(nil, start.Add(29*time.Second))
	r.want(s, time.Second, "a waits")
	r.want(r.scan(s, start.Add(30*time.Second)), 0, "a refused: file is half-copied: it ends at byte 100 of 200")
	r.write("a.so", 200, 200, start.Add(time.Minute))
	s = r.scan(s, start.Add(time.Minute+29*time.Second))
	r.want(s, time.Second, "a waits")
	open = false
	r.want(r.scan(s, start.Add(time.Minute+29*time.Second)), 0, "a settled")
}

// What has its size before its content waits for the content.
func TestBlankFile(t *testing.T) {
	r := newRoom(t)
	maybe, surely := true, true
	r.rules.Blank = func(_ io.ReaderAt, size int64) (bool, bool, error) { return maybe, surely, nil }
	now := func(d time.Duration) time.Time { return start.Add(d) }
	r.write("a.so", 100, 100, start)
	s := r.scan(nil, now(25*time.Millisecond))
	r.want(s, 25*time.Millisecond, "a waits")
	s = r.scan(s, now(1900*time.Millisecond))
	r.want(s, 100*time.Millisecond, "a waits")
	r.want(r.scan(s, now(2*time.Second)), 0, "a refused: file is half-copied: it has its 100 bytes, but not their content")

	surely = false // it may be what was meant
	s = r.scan(nil, now(1900*time.Millisecond))
	r.want(s, 100*time.Millisecond, "a waits")
	r.want(r.scan(s, now(2*time.Second)), 0, "a settled")

	maybe = false // its content has come
	s = r.scan(nil, now(25*time.Millisecond))
	r.want(s, 0, "a settled")
}
