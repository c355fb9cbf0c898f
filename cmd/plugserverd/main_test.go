package main

import (
	"os"
	"testing"
	"time"
)

// A daemon that cannot begin waits longer each time, within bounds.
func TestFailures(t *testing.T) {
	t.Setenv("CACHE_DIRECTORY", t.TempDir())
	var last time.Duration
	for i := range 10 {
		pause := pauseAfter(failures())
		if i == 0 && pause != startPause || pause < last || pause > startPauseMax {
			t.Errorf("pause %d is %v after %v", i, pause, last)
		}
		last = pause
	}
	if last != startPauseMax {
		t.Errorf("the last pause is %v", last)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(failuresFile(), long, long); err != nil {
		t.Fatal(err)
	}
	if n := failures(); n != 0 {
		t.Errorf("%d failures an hour ago count", n)
	}
	forgetFailures()
	if n := failures(); n != 0 {
		t.Errorf("%d failures count after a start", n)
	}
}
