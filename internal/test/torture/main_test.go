package torture

import (
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

var (
	forFlag     = flag.Duration("for", 0, "torture for this `time`; 0 is every fault once")
	seedFlag    = flag.Uint64("seed", 0, "choose faults by this `number`; 0 takes one from the clock")
	faultFlag   = flag.String("fault", "", "only the faults that match the `regexp`")
	logFlag     = flag.Bool("log", false, "print the daemon's log of every turn")
	killsFlag   = flag.Int("kills", 5, "cells to kill in TestKills")
	mutantsFlag = flag.Int("mutants", 34, "mutated plugins to drop in TestMutants")
	soakFlag    = flag.Duration("soak", 3*time.Second, "how long TestSoak replaces a handler once a second")
)

func TestMain(m *testing.M) {
	if pid, err := strconv.Atoi(os.Getenv(tracerVar)); err == nil {
		os.Exit(trace(pid))
	}
	flag.Parse()
	if *seedFlag == 0 {
		*seedFlag = uint64(time.Now().UnixNano())
	}
	code := m.Run()
	testbed.CleanUp()
	os.Exit(code)
}
