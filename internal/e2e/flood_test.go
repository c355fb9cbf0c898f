package e2e

import (
	"strings"
	"testing"
)

// A handler that prints without end costs the log a bounded share; what is
// dropped is counted, and nobody else notices.
func TestFlood(t *testing.T) {
	d := Start(t)
	d.Put("calm", plain(t, "/calm", "calm"))
	load := Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	mark := d.Log.Len()
	d.Put("noisy", Go(`package main

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
	d.WaitLogFrom(mark, "what was dropped", func(e Entry) bool {
		return e.Get("handler") == "noisy" && strings.Contains(e.Msg(), "records of noisy were dropped")
	})
	load.End()
	load.Unharmed(t)
	if n := len(d.Log.From(mark)); n > 10000 {
		t.Errorf("150,000 records of one handler became %d in the log", n)
	}
}
