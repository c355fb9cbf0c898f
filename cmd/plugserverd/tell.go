package main

import (
	"context"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/sd"
	"github.com/andrestc/go-plugserver/internal/daemon/supervisor"
	"github.com/sirupsen/logrus"
)

// extension is how much more time systemd is asked for with each sign of
// progress while the daemon starts or drains.
const extension = 30 * time.Second

// teller tells systemd how the daemon stands (sd_notify(3)). Without systemd
// it does nothing.
type teller struct {
	notify *sd.Notifier
	log    *logrus.Logger

	mu      sync.Mutex // guards the rest
	phase   phase
	reloads int // under way
	text    string
}

type phase int

const (
	starting phase = iota
	running
	ending
)

func newTeller(log *logrus.Logger, notify *sd.Notifier) *teller {
	return &teller{notify: notify, log: log}
}

// begin tells what a start does first.
func (t *teller) begin(handlers string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told(t.notify.Status("starting: looking at " + handlers))
}

// told logs that systemd could not be told; the daemon goes on.
func (t *teller) told(err error) {
	if err != nil {
		t.log.WithError(err).Debug("systemd cannot be told")
	}
}

// report is the supervisor's Report.
func (t *teller) report(r supervisor.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = r.String()
	text := t.text
	if t.phase == starting {
		text = "starting: " + text
	}
	t.told(t.notify.Status(text))
	if t.phase != running {
		t.told(t.notify.Extend(extension)) // a change is progress
	}
}

func (t *teller) ready() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == starting {
		t.phase = running
		t.told(t.notify.Ready(t.text))
	}
}

func (t *teller) stopping() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = ending
	t.told(t.notify.Stopping(t.text))
}

// reload brackets f, between the first and the last of those under way, with
// RELOADING and READY.
func (t *teller) reload(f func()) {
	t.mu.Lock()
	if t.reloads++; t.reloads == 1 && t.phase == running {
		t.told(t.notify.Reloading())
	}
	t.mu.Unlock()
	f()
	t.mu.Lock()
	if t.reloads--; t.reloads == 0 && t.phase == running {
		t.told(t.notify.Ready(t.text))
	}
	t.mu.Unlock()
}

// watchdog tells systemd that the daemon is alive for as long as it is:
// each time the supervisor's loop has turned and the gate has answered.
func (t *teller) watchdog(ctx context.Context, s *supervisor.Supervisor) {
	every := t.notify.Interval()
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, every)
		if s.Alive(try) == nil {
			t.told(t.notify.Watchdog())
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
