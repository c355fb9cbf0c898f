package store

import (
	"bytes"
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
	h["hello"] = Record{Seq: 1, Patterns: []string{"/hello", "GET /hello/{id}"}, Versions: versions}
	h["bye"] = Record{Seq: 2, Patterns: []string{"/bye"}, Versions: versions[:1]}
	for range 2 { // the second time over the first
		if err := s.SaveHistory(h); err != nil {
			t.Fatal(err)
		}
	}
	if len(h["hello"].Versions) != 4 {
		t.Error("SaveHistory changed its argument")
	}
	got, err := s.LoadHistory()
	if err != nil {
		t.Fatal(err)
	}
	want := History{
		"hello": {Seq: 1, Patterns: []string{"/hello", "GET /hello/{id}"}, Versions: versions[1:]},
		"bye":   h["bye"],
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
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
			h["b"] = Record{Seq: 7}
			if err := s.SaveHistory(h); err != nil {
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
