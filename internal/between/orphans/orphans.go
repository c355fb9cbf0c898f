// Package orphans ends what a child of ours has started and left behind, where no control group does: also
// what has a session of its own, and no parent any more. For that this process adopts the orphans of all its
// descendants (PR_SET_CHILD_SUBREAPER, prctl(2)), and knows whose each is by a mark, which what is started inherits: a
// limit of a resource that no handler has a use for. A sandbox lets no process change it.
package orphans

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/deaths"
	"golang.org/x/sys/unix"
)

// Mark is the resource (setrlimit(2)): the time that a process of a real-time policy may take without a system call. Ours are so
// long that none meets one.
const Mark = unix.RLIMIT_RTTIME

const (
	least  = 1 << 50 // microseconds: 35 years
	perRun = 24      // bits of a mark that tell the children of one process of ours
)

// known are the children that were Started, and those of them that have a mark.
var known = struct {
	sync.Mutex
	first uint64 // of our marks; 0 before Begin
	last  uint64
	pids  map[int]int    // how often each was Started and not Reaped: a PID may come again before whoever has reaped it says so
	alive map[uint64]int // the PIDs of those that have a mark
	ended uint64         // how many of those have ended
}{alive: make(map[uint64]int), pids: make(map[int]int)}

// Begin has this process adopt orphans, from now on and for good.
func Begin() error {
	known.Lock()
	defer known.Unlock()
	if known.first != 0 {
		return nil
	}
	if _, err := os.Stat(children()); err != nil {
		return fmt.Errorf("adopt orphans: %w", err) // nor would we find them
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("adopt orphans: %w", err)
	}
	known.first = least | rand.Uint64N(1<<20)<<perRun // another than that of a daemon within, or around
	known.last = known.first
	deaths.Begin()
	go func() {
		for range deaths.Strangers() {
			time.Sleep(between) // whoever forks a thousand times a second does not keep us busy, and who was started by us is reaped by then
			if unreaped() {
				sweep(math.MaxUint64)
			}
		}
	}()
	return nil
}

// between is how long those that have ended by themselves may wait.
const between = 50 * time.Millisecond

// Family is a child of ours with all that it has started. A nil one is none.
type Family struct{ mark uint64 }

// Of marks a child that was Started, and has started nothing yet. It returns nil where that cannot be.
func Of(pid int) *Family {
	known.Lock()
	defer known.Unlock()
	if known.first == 0 || known.last+1 == known.first+1<<perRun {
		return nil
	}
	known.last++
	if unix.Prlimit(pid, Mark, &unix.Rlimit{Cur: known.last, Max: known.last}, nil) != nil {
		return nil
	}
	known.alive[known.last] = pid
	return &Family{known.last}
}

// Started notes a child that whoever calls it reaps, however late, and Reaped that this was done.
func Started(pid int) {
	known.Lock()
	defer known.Unlock()
	known.pids[pid]++
}

// Reaped is called after that.
func Reaped(pid int) {
	known.Lock()
	defer known.Unlock()
	if known.pids[pid]--; known.pids[pid] <= 0 {
		delete(known.pids, pid)
	}
}

const (
	patience = time.Second // how long the end of a family is waited for
	tries    = 10_000      // how often it is tried further
)

// End ends what is left of the family. The child has ended, and was reaped.
func (f *Family) End() {
	if f == nil {
		return
	}
	nth := f.ended()
	for began := time.Now(); sweep(nth) > 0; {
		if time.Since(began) > patience {
			go func() { // it forks faster than we are given time to kill
				for n := 0; n < tries && sweep(nth) > 0; n++ {
					time.Sleep(time.Millisecond)
				}
			}()
			return
		}
	}
}

// ended takes the child out of those that live, and returns how many have ended by now. A sweep under way may have found the child
// itself: it would take its PID, which is nobody's or another's since, for an orphan's.
func (f *Family) ended() uint64 {
	sweeping.Lock()
	defer sweeping.Unlock()
	known.Lock()
	defer known.Unlock()
	delete(known.alive, f.mark)
	known.ended++
	return known.ended
}

// sweeping is who sweeps. It is locked before known. Nobody else reaps orphans: until then a PID is no other's.
var sweeping struct {
	sync.Mutex
	clean uint64 // of so many children that have ended nothing was left
}

// sweep kills the orphans whose child of ours has ended, reaps those that are dead, and returns how many
// it has killed. Where a sweep that began after the nth end has found nothing it need not look.
func sweep(nth uint64) (killed int) {
	sweeping.Lock()
	defer sweeping.Unlock()
	if nth <= sweeping.clean {
		return 0 // as when a thousand end at a time
	}
	known.Lock()
	ended := known.ended
	known.Unlock()
	defer func() {
		if killed == 0 {
			sweeping.clean = ended
		}
	}()
	for _, pid := range adopted() {
		mark, ok := markOf(pid)
		if !ok {
			continue
		}
		known.Lock()
		child, alive := known.alive[mark]
		known.Unlock()
		if child == pid {
			continue // it was marked since, and whoever has started it reaps it
		}
		if !alive {
			killed++
			unix.Kill(pid, unix.SIGKILL)
		}
		unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
	return killed
}

// markOf is the mark of a process, ok whether it is one of ours.
func markOf(pid int) (mark uint64, ok bool) {
	var has unix.Rlimit
	if unix.Prlimit(pid, Mark, nil, &has) != nil {
		return 0, false
	}
	known.Lock()
	defer known.Unlock()
	return has.Max, known.first != 0 && has.Max > known.first && has.Max <= known.last
}

// children is the list of the children of our first thread, which never ends (package runtime): the kernel gives the orphans to the
// first that has not ended, and so the children of one that has. One that all threads' are in takes longer the more there are.
func children() string { return fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()) }

// adopted are the children that may be orphans: all but those that whoever has started them reaps.
func adopted() (pids []int) {
	text := listed()
	known.Lock()
	defer known.Unlock()
	for f := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(f); err == nil && known.pids[pid] == 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listed is what the list says. The kernel walks over all children up to where a read begins: so each reads as much as it gets.
func listed() []byte {
	f, err := os.Open(children())
	if err != nil {
		return nil
	}
	defer f.Close()
	var text bytes.Buffer
	text.Grow(16 << 10)
	text.ReadFrom(f)
	return text.Bytes()
}

// unreaped reports whether there is a child that has ended, or it cannot be told.
func unreaped() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0 || err != nil && err != unix.ECHILD
}
