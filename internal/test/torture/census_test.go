package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// census is what a daemon holds.
type census struct {
	supervisorFDs, gateFDs, allFDs, supervisorGoroutines, gateGoroutines int
	supervisorRSS, gateRSS                                               int64
	stored                                                               int
	storedBytes                                                          int64

	strays []string // processes and files that have no business there
	open   string   // the descriptors by process and kind, of the arena's begin alone
}

// handlers are those that an arena has between two turns.
var handlers = map[string]bool{"calm": true, "other": true, "victim": true}

const (
	// mostSpares is how many cells wait for what they are to run.
	mostSpares = 2
	// spareFDs and spareGoroutines are what each costs the supervisor: a link and two pipes; who awaits
	// its end for the pool. All else is waited for by epoll, or told by SIGCHLD.
	spareFDs, spareGoroutines = 3, 1
)

// census counts. The clients rest meanwhile. A spare is not there at all times, and what it
// costs is not counted.
func (a *arena) census() census {
	var c census
	st := a.d.Status()
	c.supervisorGoroutines, c.gateGoroutines = st.Daemon.Goroutines, st.Daemon.GateGoroutines
	mine := map[int]string{a.d.PID(): "supervisor", st.Daemon.GatePID: "gate"}
	for _, h := range st.Handlers {
		if !handlers[h.Name] || h.State != api.StateLive || h.Refusal != nil {
			c.strays = append(c.strays, fmt.Sprintf("handler %s is %s (%+v)", h.Name, h.State, h.Refusal))
		}
		mine[h.PID] = h.Name
	}
	if n := len(st.Handlers); n != len(handlers) {
		c.strays = append(c.strays, fmt.Sprintf("%d handlers", n))
	}
	for _, pid := range st.Daemon.Spares {
		mine[pid] = "spare"
	}
	spares := len(st.Daemon.Spares)
	if spares > mostSpares {
		c.strays = append(c.strays, fmt.Sprintf("%d spares", spares))
	}
	c.supervisorGoroutines -= spares * spareGoroutines
	for _, p := range a.d.Processes() {
		who := mine[p.PID]
		if who != "spare" {
			c.allFDs += p.FDs
		}
		switch who {
		case "":
			c.strays = append(c.strays, fmt.Sprintf("process %d: %s", p.PID, p.Args))
		case "supervisor":
			c.supervisorFDs, c.supervisorRSS = p.FDs-spares*spareFDs, p.RSS
			c.allFDs -= spares * spareFDs
		case "gate":
			c.gateFDs, c.gateRSS = p.FDs, p.RSS
		}
		delete(mine, p.PID)
	}
	for pid, who := range mine {
		c.strays = append(c.strays, fmt.Sprintf("process %d of %s is missing", pid, who))
	}
	a.store(&c)
	left, _ := os.ReadDir(a.d.Handlers)
	for _, e := range left {
		if name, ok := strings.CutSuffix(e.Name(), ".so"); !ok || !handlers[name] {
			c.strays = append(c.strays, "file "+e.Name()+" among the handlers")
		}
	}
	return c
}

// confined reports whether the arena's handlers are in sandboxes.
func (a *arena) confined() bool {
	last := ""
	for i, flag := range a.flags {
		if flag == "--sandbox" {
			last = a.flags[i+1]
		}
	}
	return last == "on"
}

// store counts the copies, and names those that no history has.
func (a *arena) store(c *census) {
	dir := filepath.Join(a.d.State, "store")
	type record struct {
		Versions []struct {
			Sum string `json:"sum"`
		} `json:"versions"`
	}
	var doc struct {
		Handlers map[string]*record `json:"handlers"`
	}
	doc.Handlers = make(map[string]*record)
	b, err := os.ReadFile(filepath.Join(dir, "history.json"))
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.strays = append(c.strays, err.Error())
	}
	log, _ := os.ReadFile(filepath.Join(dir, "history.log")) // there is none after each start
	for line := range strings.Lines(string(log)) {
		if err := json.Unmarshal([]byte(line), &doc.Handlers); err != nil {
			c.strays = append(c.strays, err.Error())
		}
	}
	known := make(map[string]bool)
	for _, r := range doc.Handlers {
		if r == nil {
			continue // it is gone
		}
		for _, v := range r.Versions {
			known[v.Sum+".so"] = true
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		c.strays = append(c.strays, err.Error())
	}
	for _, e := range entries {
		c.stored++
		if info, err := e.Info(); err == nil {
			c.storedBytes += info.Size()
		}
		switch e.Name() {
		case "history.json", "history.log", "known": // the store's own
			continue
		case "lent": // a folder for each process in a sandbox that was started ahead
			lent, err := os.ReadDir(filepath.Join(dir, "lent"))
			most := 0
			if a.confined() {
				most = len(handlers) + mostSpares
			}
			if err != nil || len(lent) > most {
				c.strays = append(c.strays, fmt.Sprintf("%d folders lent, %v", len(lent), err))
			}
			continue
		case "units": // what is lent to units of systemd's, and here none is in one
			if lent, err := os.ReadDir(filepath.Join(dir, "units")); err != nil || len(lent) > 0 {
				c.strays = append(c.strays, fmt.Sprintf("%d folders lent to units, %v", len(lent), err))
			}
			continue
		}
		if !known[e.Name()] {
			c.strays = append(c.strays, "file "+e.Name()+" in the store")
		}
		delete(known, e.Name())
	}
	for name := range known {
		c.strays = append(c.strays, "file "+name+" is missing in the store")
	}
}

// beyond says in which way c is more than base.
func (c census) beyond(base census) (more []string) {
	for _, n := range []struct {
		what      string
		got, want int
	}{
		{"descriptors of the supervisor", c.supervisorFDs, base.supervisorFDs},
		{"descriptors of the gate", c.gateFDs, base.gateFDs},
		{"descriptors in all", c.allFDs, base.allFDs},
		{"goroutines of the supervisor", c.supervisorGoroutines, base.supervisorGoroutines},
		{"goroutines of the gate", c.gateGoroutines, base.gateGoroutines},
	} {
		if n.got > n.want {
			more = append(more, fmt.Sprintf("%d %s, were %d", n.got, n.what, n.want))
		}
	}
	return append(more, c.strays...)
}

// descriptors says which descriptors there are, for who wants to know what is too many.
func (a *arena) descriptors() (all string) {
	for _, p := range a.d.Processes() {
		count := make(map[string]int)
		links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID))
		for _, l := range links {
			if to, err := os.Readlink(l); err == nil {
				kind, _, _ := strings.Cut(to, ":[") // of sockets and pipes, without the number
				count[kind]++
			}
		}
		args := strings.Fields(p.Args)
		all += fmt.Sprintf("\n\t\t%s:", strings.Join(args[:min(2, len(args))], " "))
		for _, kind := range slices.Sorted(maps.Keys(count)) {
			all += fmt.Sprintf(" %d %s,", count[kind], kind)
		}
	}
	return all
}

// least takes a census some times and returns the least number of descriptors:
// what is on its way out does not count. Of goroutines it returns the most, for
// those that answer the census itself come and go.
func (a *arena) least(times int) census {
	c := a.census()
	for range times {
		time.Sleep(20 * time.Millisecond)
		o := a.census()
		c.supervisorFDs = min(c.supervisorFDs, o.supervisorFDs)
		c.gateFDs = min(c.gateFDs, o.gateFDs)
		c.allFDs = min(c.allFDs, o.allFDs)
		c.supervisorGoroutines = max(c.supervisorGoroutines, o.supervisorGoroutines)
		c.gateGoroutines = max(c.gateGoroutines, o.gateGoroutines)
	}
	return c
}

// lingering is how long what a fault has left behind may stay: more than the
// product takes for anything but its patience with what does not answer.
const lingering = 10 * time.Second

// nothingIsLeft waits until the daemon holds no more than at the begin. The
// clients rest meanwhile.
func (a *arena) nothingIsLeft() {
	began := time.Now()
	for n := 1; ; n++ {
		more := a.census().beyond(a.base)
		if len(more) == 0 {
			return
		}
		if n%10 == 0 {
			// The clients have rested for ten looks, also after they were at
			// work in between: a connection may have been given back while
			// its client rested.
			if n > 10 && time.Since(began) > lingering {
				a.life.Errorf("left over: %s\n\topen:%s\n\twere:%s", strings.Join(more, "; "), a.descriptors(), a.base.open)
				return
			}
			a.resume()
			a.rest()
		}
		time.Sleep(10 * time.Millisecond)
	}
}
