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
		name   string
		writer Writer
		want   time.Duration
	}{
		{"nothing is known of its writer", WriterUnknown, 1000 * ms},
		{"its writer has closed it", WriterClosed, 100 * ms},
		{"it was renamed in before", WriterMoved, 100 * ms},
		{"its writer has it open", WriterOpen, 30000 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoom(t)
			r.rules.Rewrite, r.rules.Unsure, r.rules.Open = 100*ms, 1000*ms, 30000*ms
			writer := WriterUnknown
			r.rules.Writing = func(name string) Writer {
				if name != "a.so" {
					t.Errorf("asked for %q", name)
				}
				return writer
			}
			r.write("a.so", 100, 100, start)
			s := r.scan(nil, start.Add(25*ms))
			r.want(s, 0, "a settled")
			if s.Files[0].Over {
				t.Error("the first content is over another")
			}
			writer = tt.writer
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
			writer = WriterUnknown
			r.must(os.Rename(r.write("new", 100, 100, now), r.path("a.so")))
			s = r.scan(s, now.Add(25*ms))
			r.want(s, 0, "a settled")
			if s.Files[0].Over {
				t.Error("another file is over the one before")
			}
		})
	}
}

// A new file is settled as soon as it is known to be finished: at once where it was
// renamed in and nobody writes to it, and after a little where its writer has closed
// it, if it has no gaps.
func TestFinished(t *testing.T) {
	const ms = time.Millisecond
	r := newRoom(t)
	r.rules.Closed, r.rules.Open = 10*ms, 30000*ms
	writer, gaps := WriterMoved, false
	r.rules.Writing = func(string) Writer { return writer }
	r.rules.Blank = func(io.ReaderAt, int64) (bool, bool, error) {
		if writer == WriterMoved {
			t.Error("what was finished is looked at for gaps")
		}
		return gaps, gaps, nil
	}
	r.write("a.so", 100, 100, start)
	r.want(r.scan(nil, start), 0, "a settled")

	f, err := os.OpenFile(r.path("a.so"), os.O_WRONLY, 0)
	r.must(err)
	r.want(r.scan(nil, start), 30000*ms, "a waits") // it was renamed too early
	r.must(f.Close())
	r.want(r.scan(nil, start), 0, "a settled")

	writer = WriterClosed
	r.want(r.scan(nil, start), 10*ms, "a waits")
	r.want(r.scan(nil, start.Add(10*ms)), 0, "a settled")
	gaps = true
	r.want(r.scan(nil, start.Add(10*ms)), 25*ms, "a waits")
	gaps = false

	r.write("a.so", 100, 200, start)
	writer = WriterMoved
	r.want(r.scan(nil, start), 25*ms, "a waits") // it is not whole
}

// Part of a file that its writer has open is waited for longer, and is settled
// once it is whole and closed.
func TestOpenFileIsNotRefused(t *testing.T) {
	r := newRoom(t)
	r.rules.Open = 30 * time.Second
	writer := WriterOpen
	r.rules.Writing = func(string) Writer { return writer }
	r.write("a.so", 100, 200, start)
	s := r.scan(nil, start.Add(29*time.Second))
	r.want(s, time.Second, "a waits")
	r.want(r.scan(s, start.Add(30*time.Second)), 0, "a refused: file is half-copied: it ends at byte 100 of 200")
	r.write("a.so", 200, 200, start.Add(time.Minute))
	s = r.scan(s, start.Add(time.Minute+29*time.Second))
	r.want(s, time.Second, "a waits")
	writer = WriterClosed
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
