package torture

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// excess is what a handler wants too much of, or withholds. Meanwhile the
// supervisor answers.
var excess = []fault{
	{"3,000 wildcard patterns", 1, func(a *arena) {
		a.answering(func() {
			p := a.next("wildcards")
			a.keepsServing("has 3002 patterns, a handler may have 1000", func() { a.d.DropOld("victim", p) })
		})
	}},
	{"a pattern of 16 MiB", 1, func(a *arena) {
		a.answering(func() {
			p := a.next("pattern")
			a.keepsServing("has a pattern of ", func() { a.d.DropOld("victim", p) })
		})
	}},
}

// wild is what an operator may allow: its arena has --max-patterns.
var wild = []fault{
	{"three handlers of 3,000 wildcard patterns each", 1, func(a *arena) {
		a.answering(func() {
			a.may.victim = true
			p := a.next("wildcards")
			mark := a.d.Log.Len()
			a.d.DropOld("victim", p)
			a.d.WaitLive(mark, "victim", p)
			a.serves(p)
			var names []string
			for i := range 2 {
				name := fmt.Sprintf("wild%d", i)
				names = append(names, name)
				a.d.DropOld(name, beast(a.life, "/"+name, name, "wildcards"))
			}
			a.guests(names)
			a.refresh()
		})
	}},
}

// mute is in an arena with testbed.MuteCell: a change waits for it, and not for long.
var mute = []fault{
	{"a cell that acknowledges no table", 1, func(a *arena) {
		a.answering(func() {
			mark := a.d.Log.Len()
			began := time.Now()
			a.d.DropOld("mute", beast(a.life, "/mute", "mute", ""))
			a.d.Reload()
			if took := time.Since(began); took > patience {
				a.life.Errorf("a reload took %v", took)
			}
			a.d.WaitLogFrom(mark, "the kill", func(e testbed.Entry) bool { return e.Msg() == "killed: mute" })
			a.leave("mute")
		})
	}},
}

// answerTime is how long the supervisor may take to answer on a machine on which
// other arenas are at work.
const answerTime = 5 * time.Second

// answering asks the supervisor for its status, again and again, while f runs.
func (a *arena) answering(f func()) {
	stop, longest := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for {
			select {
			case <-stop:
				longest <- most
				return
			case <-time.After(50 * time.Millisecond):
			}
			began := time.Now()
			try(func() { a.d.Ctl("status") })
			most = max(most, time.Since(began))
		}
	}()
	defer func() {
		close(stop)
		if took := <-longest; took > answerTime {
			a.life.Errorf("the supervisor took %v to answer", took)
		}
	}()
	f()
}
