package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A handler that prints without end costs the log a bounded share; what is
// dropped is counted, and nobody else notices.
func TestFlood(t *testing.T) {
	d := testbed.Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	mark := d.Log.Len()
	d.Put("noisy", testbed.Go(`package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/noisy", func(w http.ResponseWriter, r *http.Request) {
		for i := range 50000 {
			fmt.Println("out", i)
			fmt.Fprintln(os.Stderr, "err", i)
			log.Println("log", i)
		}
	}
}

func main() {}
`).Build(t))
	d.Want("/noisy", 200, "")
	d.WaitLogFrom(mark, "what was dropped", func(e testbed.Entry) bool {
		return e.Get("handler") == "noisy" && strings.Contains(e.Msg(), "records of noisy were dropped")
	})
	load.End()
	load.Unharmed(t)
	if n := len(d.Log.From(mark)); n > 10000 {
		t.Errorf("150,000 records of one handler became %d in the log", n)
	}
}

// What a handler may log is the operator's to say, and holds without a new
// process; where lines are lost the log says so, and how many.
func TestLogRate(t *testing.T) {
	const n = 3000
	d := testbed.Start(t)
	d.Put("prints", testbed.Go(`package main

import (
	"fmt"
	"net/http"
)

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/prints", func(w http.ResponseWriter, r *http.Request) { fmt.Println("a request") }
}

func main() {}
`).Build(t))
	ask := func() {
		t.Helper()
		c := d.Dial()
		defer c.Close()
		for range n {
			if a, err := c.Get("/prints"); err != nil || a.Status != 200 {
				t.Fatalf("%d, %v", a.Status, err)
			}
		}
	}
	// counted waits until all n lines are in the log or told as lost, and returns
	// both numbers.
	counted := func(mark int) (lines, lost int) {
		t.Helper()
		begun := false
		d.WaitLogFrom(mark, "the last line, or its loss", func(e testbed.Entry) bool {
			switch {
			case e.Msg() == "a request":
				lines++
			case strings.Contains(e.Msg(), "records of prints are dropped from here on"):
				begun = true
			case strings.Contains(e.Msg(), "records of prints were dropped until here"):
				more, _ := strconv.Atoi(e.Get("lost"))
				if lost += more; !begun {
					t.Error("a loss was not told of where it began")
				}
				begun = false
			}
			return lines+lost == n
		})
		return lines, lost
	}
	mark := d.Log.Len()
	ask()
	if lines, lost := counted(mark); lost == 0 || lines < 1000 {
		t.Errorf("%d lines of %d are in the log, and %d told as lost", lines, n, lost)
	}
	before, _ := d.Handler("prints")
	if before.LogDropped == 0 {
		t.Errorf("status %+v", before)
	}
	conf := "[Handler prints]\nLogRateLimitIntervalSec=1min\nLogRateLimitBurst=5000\n"
	if err := os.WriteFile(filepath.Join(d.Dir, "plugserverd.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	d.Reload()
	mark = d.Log.Len()
	ask()
	if lines, lost := counted(mark); lines != n || lost != 0 {
		t.Errorf("where 5,000 are allowed %d lines of %d are in the log, and %d told as lost", lines, n, lost)
	}
	if after, _ := d.Handler("prints"); after.PID != before.PID {
		t.Errorf("it has process %d, and had %d", after.PID, before.PID)
	}
}
