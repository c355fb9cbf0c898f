package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/sd"
)

// startError is why the daemon could not begin.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// startPause and startPauseMax bound the pause before a daemon that could not
// begin exits: systemd starts it again at once, and it would say the same.
const (
	startPause    = 200 * time.Millisecond
	startPauseMax = 5 * time.Second
	// startForget is after how long a failure is of another time.
	startForget = time.Minute
)

// notStarted tells systemd why the daemon does not begin, and pauses: twice as
// long as the last time. The end of ctx ends that.
func notStarted(ctx context.Context, err *startError, notify *sd.Notifier) {
	if !notify.Heard() {
		return
	}
	notify.Status("not started: " + err.Error())
	pause := pauseAfter(failures())
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func pauseAfter(failures int) time.Duration {
	return min(startPause<<min(failures, 20), startPauseMax)
}

// failuresFile counts failed starts from one to the next, in the service's cache
// (systemd.exec(5), CacheDirectory=); "" where there is none.
func failuresFile() string {
	if dir := os.Getenv("CACHE_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "failed-starts")
	}
	return ""
}

// failures returns how many starts have failed before this one, and counts it.
func failures() (n int) {
	file := failuresFile()
	if file == "" {
		return 2
	}
	if info, err := os.Stat(file); err == nil && time.Since(info.ModTime()) < startForget {
		text, _ := os.ReadFile(file)
		n, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	os.WriteFile(file, []byte(strconv.Itoa(n+1)+"\n"), 0o600) // best effort: else each pause is the first
	return max(n, 0)
}

func forgetFailures() {
	if file := failuresFile(); file != "" {
		os.Remove(file)
	}
}
