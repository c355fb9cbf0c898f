package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestHistoryRoundTrip(t *testing.T) {
	s := newStore(t)
	h, err := s.LoadHistory()
	if err != nil || h == nil || len(h) != 0 {
		t.Fatalf("history of a new store = %v, %v", h, err)
	}
	live := time.Date(2026, 5, 9, 7, 29, 33, 5, time.UTC)
	var versions []Served
	for _, c := range []string{"1", "2", "3", "4"} {
		versions = append(versions, Served{Sum: sumOf([]byte(c)), Live: live})
		live = live.Add(time.Hour)
	}
	changes := Changes{
		"hello": {Seq: 1, Patterns: []string{"/hello", "GET /hello/{id}"}, Versions: versions},
		"bye":   {Seq: 2, Patterns: []string{"/bye"}, Versions: versions[:1]},
	}
	want := History{
		"hello": {Seq: 1, Patterns: []string{"/hello", "GET /hello/{id}"}, Versions: versions[1:]},
		"bye":   *changes["bye"],
	}
	check := func(when string) {
		t.Helper()
		if got, err := s.LoadHistory(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %v\nwant %v", when, err, got, want)
		}
	}
	for _, c := range []Changes{changes, {"gone": {Seq: 3}}, {"gone": nil, "never": nil}, {"bye": changes["bye"]}} {
		if err := s.SaveHistory(c); err != nil {
			t.Fatal(err)
		}
	}
	if len(changes["hello"].Versions) != 4 {
		t.Error("SaveHistory changed its argument")
	}
	check("logged")
	// A line that was not written whole counts for nothing, and the next takes its place.
	f, err := os.OpenFile(s.changes(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"hello":null}`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	check("torn")
	if err := s.SaveHistory(Changes{"bye": changes["bye"]}); err != nil {
		t.Fatal(err)
	}
	check("logged behind it")
	log, err := os.ReadFile(s.changes())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CompactHistory(); err != nil {
		t.Fatal(err)
	}
	check("compacted")
	// The machine may crash in between.
	if err := os.WriteFile(s.changes(), log, 0o600); err != nil {
		t.Fatal(err)
	}
	check("logged and compacted")
	if err := s.CompactHistory(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s); len(got) != 1 || got[0] != "history.json" {
		t.Errorf("store holds %q", got)
	}
	info, err := os.Stat(filepath.Join(s.dir, "history.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode is %v, want 0600", info.Mode())
	}
}

func TestCorruptHistory(t *testing.T) {
	good, err := encodeHistory(History{"a": {Seq: 1, Versions: []Served{{Sum: sumOf(nil)}}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty":    "",
		"zeroes":   "\x00\x00\x00\x00",
		"cut":      string(good[:len(good)-4]),
		"trailing": string(good) + "{}",
		"array":    "[]",
		"null":     "null",
		"format":   `{"format":2,"handlers":{}}`,
		"sum":      `{"format":1,"handlers":{"a":{"versions":[{"sum":"../../etc/passwd"}]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			path := filepath.Join(s.dir, "history.json")
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			h, err := s.LoadHistory()
			if err == nil || !strings.Contains(err.Error(), "history.json.corrupt") {
				t.Errorf("error is %v", err)
			}
			if h == nil || len(h) != 0 {
				t.Fatalf("history is %v, want one that is empty and usable", h)
			}
			if got, err := os.ReadFile(path + ".corrupt"); err != nil || string(got) != data {
				t.Errorf("set aside: %q, %v", got, err)
			}
			if err := s.SaveHistory(Changes{"b": {Seq: 7}}); err != nil {
				t.Fatal(err)
			}
			if h, err := s.LoadHistory(); err != nil || h["b"].Seq != 7 {
				t.Errorf("begun anew: %v, %v", h, err)
			}
		})
	}
}

func FuzzHistory(f *testing.F) {
	good, err := encodeHistory(History{"a": {Seq: 1, Patterns: []string{"/a"}, Versions: []Served{{Sum: sumOf(nil)}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"handlers":{"":{}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := decodeHistory(data)
		if err != nil {
			return
		}
		// What was accepted once is written and accepted again, unchanged.
		first, err := encodeHistory(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeHistory(first)
		if err != nil {
			t.Fatalf("%v in %s", err, first)
		}
		second, err := encodeHistory(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s became %s", first, second)
		}
	})
}

// What one change costs does not grow with the others, and neither does the log.
func TestHistoryIsCompacted(t *testing.T) {
	s := newStore(t)
	all := make(Changes)
	for n := range 1000 {
		all[fmt.Sprint("h", n)] = &Record{Seq: int64(n), Patterns: []string{fmt.Sprint("/h", n)}}
	}
	if err := errors.Join(s.SaveHistory(all), s.CompactHistory()); err != nil {
		t.Fatal(err)
	}
	written, compacted := 0, 0
	s.write = func(f *os.File, p []byte) (int, error) {
		if written += len(p); filepath.Base(f.Name()) != changesFile {
			compacted++
		}
		return f.Write(p)
	}
	const changes = 400
	long := strings.Repeat("x", 2000)
	for n := range changes {
		if err := s.SaveHistory(Changes{"h1": {Seq: int64(n), Patterns: []string{long}}}); err != nil {
			t.Fatal(err)
		}
	}
	if written/changes > 4000 || compacted > 5 {
		t.Errorf("%d bytes for each change, written whole %d times", written/changes, compacted)
	}
	if h, err := s.LoadHistory(); err != nil || len(h) != 1000 || h["h1"].Seq != changes-1 {
		t.Errorf("%d handlers, %+v, %v", len(h), h["h1"], err)
	}
}
