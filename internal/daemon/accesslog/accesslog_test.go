package accesslog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/sirupsen/logrus"
)

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return l
}

// child is a process that writes lines as it is told.
type child struct {
	log *access.Log
	t   *testing.T
}

func (c *child) send(m link.Message) error {
	if m.Kind != link.Access {
		c.t.Errorf("it is told %s", m.Kind)
	}
	if c.log == nil {
		c.log = access.New(access.Format(m.Format), m.FDs[1], func(error) {})
	}
	c.log.Put(m.FDs[0])
	return nil
}

func (c *child) line(path string) {
	c.log.Add(&access.Entry{Asked: access.Asked{Method: "GET", Target: path, Proto: "HTTP/1.1"}, Status: 200})
}

func check(t *testing.T, path string, want ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(string(text))
	if len(got) != 12*len(want) { // words of a line
		t.Fatalf("%q", text)
	}
	for i, target := range want {
		if got[12*i+6] != target {
			t.Errorf("%q, want %s", text, target)
		}
	}
}

// A file that was renamed gets no more lines after a reload, of any process; what one has
// gathered that is gone is written for it, and lines that are lost stay counted.
func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(Config{To: path, Format: access.Combined, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	a := &child{t: t}
	l.Begin(7, a.send)
	a.line("/1")
	a.log.Flush(time.Minute)
	check(t, path, "/1")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	a.line("/2")
	a.log.Flush(time.Minute)
	check(t, path+".1", "/1")
	check(t, path, "/2")

	b := &child{t: t}
	l.Begin(8, b.send)
	b.line("/3")
	l.End(8)
	l.End(8)
	l.Again(8) // it is gone
	l.Close(time.Minute)
	text, _ := os.ReadFile(path)
	if n := strings.Count(string(text), "/3 "); n != 1 {
		t.Errorf("%q", text)
	}
	if n := l.Lost(); n != 0 {
		t.Errorf("%d lost", n)
	}
}

func TestFull(t *testing.T) {
	l, err := Open(Config{To: "/dev/full", Format: access.JSON, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	a := &child{t: t}
	l.Begin(Gate, a.send)
	a.line("/1")
	a.log.Flush(time.Minute)
	if n := l.Lost(); n != 1 {
		t.Errorf("%d lost", n)
	}
	a.line("/2")
	l.End(Gate)
	l.Close(time.Minute)
	if n := l.Lost(); n != 2 {
		t.Errorf("%d lost", n)
	}
}

// What cannot be opened is named with its fix, and the file before stays.
func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for to, says := range map[string]string{
		filepath.Join(dir, "no/such"): "make the folder",
		fifo:                          "name another file",
		dir:                           "name another file",
	} {
		if _, err := Open(Config{To: to, Log: quiet()}); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), to) {
			t.Errorf("%s: %v, want %q", to, err, says)
		}
	}
	_, err := Open(Config{To: Journal, Log: quiet(), Journal: func() (*os.File, error) { return nil, errors.New("no journal") }})
	if err == nil || !strings.Contains(err.Error(), "no journal; name a file") {
		t.Error(err)
	}
	moving := filepath.Join(dir, "d", "a")
	if err := os.Mkdir(filepath.Dir(moving), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := Open(Config{To: moving, Format: access.Combined, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	a := &child{t: t}
	l.Begin(1, a.send)
	os.Rename(filepath.Dir(moving), filepath.Join(dir, "e"))
	if l.Reopen() == nil {
		t.Error("opened again")
	}
	a.line("/1")
	a.log.Flush(time.Minute)
	check(t, filepath.Join(dir, "e", "a"), "/1")
}
