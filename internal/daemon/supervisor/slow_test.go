package supervisor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// However slow the disk is, whoever asks is answered at once, and children are
// heard and started again: every single operation takes 5 s here.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 5 * time.Second
		w := newWorld(t, Config{CrashLimit: 3, CrashWindow: time.Minute}, nil, slowly(slow))
		answered := func(when string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			began := time.Now()
			if _, err := w.Status(ctx); err != nil {
				t.Errorf("%s: status: %v after %v", when, err, time.Since(began))
			}
			if err := w.Alive(ctx); err != nil {
				t.Errorf("%s: the watchdog: %v after %v", when, err, time.Since(began))
			}
		}
		// throughout asks again and again while the file system is busy.
		throughout := func(what string, d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); w.after(500 * time.Millisecond) {
				answered(what)
			}
		}
		w.settle()
		answered("while it looks for the first time")
		w.put("a", "/a;1")
		throughout("while a file is admitted", 8*slow)
		w.is("a", api.StateLive, "/a;1")
		w.put("a", "/a;2")
		throughout("while the next is", 8*slow)
		w.is("a", api.StateLive, "/a;2")

		// It crashes until the one before takes over, which has to be found again.
		for range 3 {
			w.one("a").exit("exit status 2")
			throughout("while a cell is started again", 4*slow)
		}
		throughout("while an earlier version is found", 4*slow)
		w.is("a", api.StateRolledBack, "/a;1")

		rolledBack := make(chan error, 1)
		w.put("b", "/b;1")
		throughout("while another is admitted", 8*slow)
		w.put("b", "/b;2")
		throughout("while another is admitted", 8*slow)
		go func() {
			_, err := w.Rollback(context.Background(), "b", "")
			rolledBack <- err
		}()
		throughout("while an operator's version is found", 4*slow)
		if err := <-rolledBack; err != nil {
			t.Error(err)
		}
		w.is("b", api.StateRolledBack, "/b;1")
		w.remove("a")
		throughout("while the store is cleaned", 4*slow)
	})
}

// Children that do not answer are found out and killed, though the disk stands still.
func TestDeafChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}, nil, nil)
		w.put("a", "/a;1")
		w.after(time.Second)
		cell, gate := w.one("a"), w.one("gate")
		cell.setDeaf()
		w.after(2 * pingEvery)
		if w.one("a") != cell {
			t.Fatal("it was killed too early")
		}
		w.after(3 * pingEvery)
		if again := w.one("a"); again == cell || w.told("it did not answer") == 0 {
			t.Errorf("it is not killed\n%s", w.log)
		}
		w.is("a", api.StateLive, "/a;1")
		gate.setDeaf()
		w.after(6 * pingEvery)
		if w.one("gate") == gate || w.told("gate_died") != 1 {
			t.Errorf("the gate is not killed\n%s", w.log)
		}
		if got := w.table(); len(got) != 1 {
			t.Errorf("the new gate has the routes %v", got)
		}
	})
}

// A copy that turns out to be damaged is made again, beside the version that serves.
func TestDamagedCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}, nil, nil)
		w.put("a", "/a")
		w.put("b", "/b")
		w.nudge()
		w.after(time.Minute)
		before := w.one("a")
		w.mu.Lock()
		clear(w.stored)
		w.mu.Unlock()
		w.damaged <- sumOf("/a")
		w.after(time.Minute)
		w.mu.Lock()
		if _, ok := w.stored[sumOf("/a")]; !ok || len(w.stored) != 1 {
			t.Errorf("stored is %v", w.stored)
		}
		w.mu.Unlock()
		if w.is("a", api.StateLive, "/a"); w.one("a") != before || w.told("was damaged") != 1 {
			t.Errorf("it was started again, or nobody was told:\n%s", w.log)
		}
	})
}
