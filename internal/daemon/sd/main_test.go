package sd

import (
	"os"
	"testing"
)

// roles are what the test binary does when a test runs it again.
var roles = map[string]func(){
	"activated": activated,
	"onjournal": onJournal,
}

// noRaceSleep keeps a child under the race detector from resting before it exits.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

func TestMain(m *testing.M) {
	if role := roles[os.Getenv("SD_TEST_ROLE")]; role != nil {
		role()
		return
	}
	os.Exit(m.Run())
}
