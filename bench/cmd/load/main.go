// Load is the load generator: it reads a load.Spec, and writes a load.Result
// or fails.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/andrestc/go-plugserver/bench/load"
)

func main() {
	runtime.LockOSThread()
	var s load.Spec
	err := json.NewDecoder(os.Stdin).Decode(&s)
	if debug.SetGCPercent(-1); s.TLS || s.Streams > 0 { // else a run allocates next to nothing
		debug.SetGCPercent(800)
		runtime.GOMAXPROCS(1) // of goroutines, too, no more than one core
		runtime.UnlockOSThread()
	}
	if err == nil {
		var r load.Result
		if r, err = load.Run(s); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
