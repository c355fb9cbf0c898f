package torture

import (
	"slices"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// signals kill, stop and end processes of the daemon.
var signals = []fault{
	{"SIGKILL the cell", 4, func(a *arena) { a.killCell(syscall.SIGKILL) }},
	{"SIGTERM the cell", 2, func(a *arena) { a.killCell(syscall.SIGTERM) }},
	{"SIGQUIT the cell", 1, func(a *arena) { a.killCell(syscall.SIGQUIT) }},
	{"SIGSTOP the cell for a while", 2, func(a *arena) { a.pause(a.cell()) }},
	{"SIGKILL the cell, then replace it", 2, func(a *arena) {
		a.cellDies()
		a.kill(a.cell(), syscall.SIGKILL)
		began := time.Now()
		p := a.next("")
		mark := a.d.Log.Len()
		a.d.DropOld("victim", p)
		a.recovers(began)
		a.d.WaitLive(mark, "victim", p)
	}},
	{"SIGKILL the cell while it is replaced", 2, func(a *arena) {
		a.cellDies()
		pid := a.cell()
		p := a.next("")
		mark := a.d.Log.Len()
		a.d.DropOld("victim", p)
		time.Sleep(time.Duration(a.rng.IntN(40)) * time.Millisecond)
		syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
		a.d.WaitLive(mark, "victim", p)
	}},
	{"SIGKILL the new cell while it starts", 2, func(a *arena) {
		// The version before serves on, or the new one is started once more.
		a.cellDies()
		old := a.cell()
		p := a.next("")
		mark := a.d.Log.Len()
		a.d.DropOld("victim", p)
		for killed := false; !killed; {
			for _, p := range a.d.Processes() {
				// A spare may be the new cell, or not become it.
				if p.PID != old && !a.known(p.PID) && syscall.Kill(p.PID, syscall.SIGKILL) == nil {
					killed = !slices.Contains(a.before.Daemon.Spares, p.PID)
				}
			}
		}
		a.d.WaitLogFrom(mark, "the outcome", func(e testbed.Entry) bool {
			return e.Get("handler") == "victim" && e.Get("event") != "" && e.Get("event") != "crashed"
		})
		a.inFlight(mark) // a spare that became the new cell is killed live, and so may the next be
		a.refresh()
	}},
	{"SIGKILL the cell until it is rolled back", 1, func(a *arena) {
		mark := a.d.Log.Len()
		for range 3 {
			a.killCell(syscall.SIGKILL)
		}
		a.d.WaitLogFrom(mark, "the roll-back", func(e testbed.Entry) bool { return e.Get("event") == "rolled_back" })
		a.refresh()
	}},

	{"SIGKILL the gate", 3, func(a *arena) { a.killGate(syscall.SIGKILL) }},
	{"SIGTERM the gate", 1, func(a *arena) { a.kill(a.before.Daemon.GatePID, syscall.SIGTERM) }}, // which drops it
	{"SIGSTOP the gate for a while", 2, func(a *arena) { a.pause(a.before.Daemon.GatePID) }},
	{"SIGKILL the gate while a handler is replaced", 2, func(a *arena) {
		a.gateDies()
		a.cellDies() // its connections are being handed back
		p := a.next("")
		mark := a.d.Log.Len()
		a.d.DropOld("victim", p)
		time.Sleep(time.Duration(a.rng.IntN(40)) * time.Millisecond)
		a.kill(a.before.Daemon.GatePID, syscall.SIGKILL)
		a.may.victim = true
		a.d.WaitLive(mark, "victim", p)
		a.recovers(time.Now())
	}},
	{"SIGKILL the gate and the cell", 2, func(a *arena) {
		a.gateDies()
		a.cellDies()
		pid := a.cell()
		began := time.Now()
		a.kill(a.before.Daemon.GatePID, syscall.SIGKILL)
		a.kill(pid, syscall.SIGKILL)
		a.recovers(began)
	}},

	{"SIGSTOP the supervisor for a while", 2, func(a *arena) { a.pause(a.d.PID()) }},
	{"SIGKILL the supervisor", 2, func(a *arena) { a.killAll(true, func() {}) }},
	{"SIGKILL the supervisor alone", 1, func(a *arena) { a.killAll(false, func() {}) }},
	{"SIGKILL the supervisor while a handler is replaced", 2, func(a *arena) {
		a.killAll(true, func() {
			a.d.DropOld("victim", a.next(""))
			time.Sleep(time.Duration(a.rng.IntN(40)) * time.Millisecond)
		})
	}},
	{"SIGTERM the supervisor", 2, func(a *arena) {
		a.allEnd()
		began := time.Now()
		a.end()
		a.start()
		a.recovers(began)
	}},
	{"SIGTERM the supervisor twice", 1, func(a *arena) {
		a.allDie()
		began := time.Now()
		a.d.Signal(syscall.SIGTERM)
		time.Sleep(time.Duration(a.rng.IntN(5)) * time.Millisecond)
		a.d.Signal(syscall.SIGTERM)
		<-a.d.Exited()
		a.d.Ended(patience)
		a.life.end()()
		a.start()
		a.recovers(began)
	}},
	{"SIGHUP the supervisor, again and again", 1, func(a *arena) {
		for range 50 {
			a.d.Signal(syscall.SIGHUP)
			time.Sleep(time.Duration(a.rng.IntN(3)) * time.Millisecond)
		}
	}},
}

// patient are the faults that take as long as the supervisor has patience.
var patient = []fault{
	{"SIGSTOP the cell for good", 1, func(a *arena) {
		a.cellDies()
		began := time.Now()
		a.kill(a.cell(), syscall.SIGSTOP)
		a.recovers(began)
	}},
	{"SIGSTOP the cell, then replace it", 1, func(a *arena) {
		// It gives nothing back, and is killed when its time is up.
		pid := a.cell()
		a.cellDies()
		a.kill(pid, syscall.SIGSTOP)
		a.refresh()
		a.recovers(time.Now())
		if err := testbed.AwaitDeath(pid, patience); err != nil {
			a.life.Errorf("%v", err)
		}
	}},
	{"SIGSTOP the gate for good", 1, func(a *arena) {
		a.gateDies()
		began := time.Now()
		a.kill(a.before.Daemon.GatePID, syscall.SIGSTOP)
		a.recovers(began)
	}},
}

// killCell ends the victim's cell and waits until another answers.
func (a *arena) killCell(s syscall.Signal) {
	a.cellDies()
	pid := a.cell()
	began := time.Now()
	a.kill(pid, s)
	a.gone(pid)
	a.recovers(began)
}

func (a *arena) killGate(s syscall.Signal) {
	a.gateDies()
	began := time.Now()
	a.kill(a.before.Daemon.GatePID, s)
	a.gone(a.before.Daemon.GatePID)
	a.recovers(began)
}

func (a *arena) gone(pid int) {
	if err := testbed.AwaitDeath(pid, patience); err != nil {
		a.life.Fatalf("%v", err)
	}
}

// pause stops a process for less than anybody minds.
func (a *arena) pause(pid int) {
	a.kill(pid, syscall.SIGSTOP)
	time.Sleep(time.Duration(20+a.rng.IntN(400)) * time.Millisecond)
	a.kill(pid, syscall.SIGCONT)
}

// killAll kills the supervisor, and its children with it as systemd does
// (KillMode=mixed, systemd.kill(5)), or leaves it to them to end.
func (a *arena) killAll(children bool, before func()) {
	a.allDie()
	if !children {
		a.allDie() // who comes back may meet what is about to end
	}
	before()
	began := time.Now()
	old, end := a.d, a.life.end()
	old.Signal(syscall.SIGKILL)
	<-old.Exited()
	if children {
		for _, p := range old.Processes() {
			syscall.Kill(p.PID, syscall.SIGKILL)
		}
		old.Ended(patience)
	}
	a.start()
	a.recovers(began)
	old.Ended(patience)
	end()
	a.d.Reload()
}

// end ends the daemon in good order.
func (a *arena) end() {
	a.d.Stop()
	a.life.end()()
}

// known reports whether the process was there when the turn began.
func (a *arena) known(pid int) bool {
	for _, h := range a.before.Handlers {
		if h.PID == pid {
			return true
		}
	}
	return pid == a.before.Daemon.GatePID || pid == a.d.PID()
}

// clear removes all handlers but the arena's own.
func (a *arena) clear() {
	for _, h := range a.d.Status().Handlers {
		if !handlers[h.Name] {
			a.d.Remove(h.Name)
		}
	}
	a.refresh()
}
