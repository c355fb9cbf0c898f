package lifecycle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// owner does what a handler asks for, in a made-up world, and keeps to what a
// handler may count on.
type owner struct {
	*Handler
	t    *testing.T
	r    *rand.Rand
	seed uint64
	now  time.Time
	log  []string

	admitting bool
	recalling map[*states.Seat][]string
	processes map[*states.Seat]bool // that run, but for those that only end what they began
	wakes     []Wake
	inodes    uint64
	gone      bool
	lookAgain bool
}

func (o *owner) on(e Event) {
	if o.gone {
		return
	}
	o.log = append(o.log, fmt.Sprintf("%T%+v", e, e))
	serving := o.serving()
	for _, a := range o.Handle(Now{Time: o.now}, e) {
		switch a := a.(type) {
		case Admit:
			o.admitting = true
		case Abandon:
			o.must(o.admitting, "nothing is to be abandoned")
			o.admitting = false
		case Recall:
			o.recalling[a.Seat] = a.Sums
			for _, sum := range a.Sums {
				o.must(slices.ContainsFunc(o.Record.Versions, func(v store.Served) bool { return v.Sum == sum }), "what is recalled may be deleted: the record does not name it")
				o.must(!o.IsBad(sum), "a bad version is recalled")
			}
		case Start:
			o.must(a.Seat.Version.Sum != "", "a seat without a version is started")
			o.processes[a.Seat] = true
		case Drop:
			o.must(a.Seat != serving || o.Live != a.Seat, "what serves is dropped")
			delete(o.processes, a.Seat)
			delete(o.recalling, a.Seat)
		case Publish:
			o.must(a.What == states.Retired || a.Seat == o.Live && o.processes[a.Seat], "routes lead to what does not run")
			if serving != nil {
				o.must(a.Old == serving, "what served is not retired by what follows it")
			}
			if a.Old != nil {
				delete(o.processes, a.Old) // it ends what it began
			}
			serving = o.serving()
		case Wake:
			o.wakes = append(o.wakes, a)
		case Forget:
			o.gone = true
		case LookAgain, Reconsider:
			o.lookAgain = true
		}
	}
	if !o.gone {
		o.check()
	}
}

func (o *owner) must(ok bool, what string) {
	o.t.Helper()
	if !ok {
		o.t.Fatalf("seed %d: %s\n%v", o.seed, what, o.log[max(0, len(o.log)-12):])
	}
}

// check checks what holds at any time.
func (o *owner) check() {
	h := o.Handler
	o.must((h.Live == nil) == (h.Standing == states.None), "its standing and its routes disagree")
	o.must(h.Standing != states.Serving || o.processes[h.Live], "what serves has no process")
	o.must(h.Next == nil || o.processes[h.Next] || h.Next.Phase == states.Recalling, "what is started has no process")
	o.must(h.Next == nil || h.Next.Phase != states.Recalling || o.recalling[h.Next] != nil, "nobody looks for what is recalled")
	for st := range o.processes {
		o.must(st == h.Live || st == h.Next, "a process is left over")
	}
	o.must(o.admitting == (h.Admission != states.Idle), "it is wrong about its admission")
	o.must(h.Presence != states.Leaving || h.Live != nil, "nothing leaves")
	// Nothing is stuck: who is dead comes back, or its heirs do.
	pauses := slices.ContainsFunc(o.wakes, func(w Wake) bool { e, ok := w.Event.(RestartDue); return ok && h.restarts.Is(e.pause) })
	o.must(h.Standing != states.Dead || h.Next != nil || h.Presence == states.Leaving || h.restarts.Pausing() && pauses || h.Admission != states.Idle || h.Tried == handlerdir.ID{}, "it is dead, and stays so")
	// Every refusal ends.
	if r := h.Refusal; r != nil && r.Retry == states.Soon && h.Presence != states.Leaving && h.Tried != (handlerdir.ID{}) && h.Next == nil && h.Admission == states.Idle {
		o.must(slices.ContainsFunc(o.wakes, func(w Wake) bool { return w.Event == RetryDue{r} }), "what is to be tried soon never is")
	}
	o.must(len(h.Record.Versions) <= store.KeptVersions && len(h.Record.Bad) <= past.BadKept, "its past grows")
	for _, v := range h.Record.Bad {
		o.must(h.Standing != states.Serving || h.Live.Version.Sum != v, "a bad version serves")
	}
	if h.Of != "" {
		o.must(h.Presence != states.Leaving && h.Standing != states.Quarantined, "a canary leaves for heirs, or stays dead")
		o.must(h.Live != nil || h.Next == nil || h.Next.Why == states.Newest, "a canary comes back that has ended")
		o.must(h.Live == nil || h.Next == nil || h.Next.Why == states.Newest || h.Next.Version == h.Live.Version, "a canary goes back to an earlier version")
	}
	if h.Live != nil {
		o.must(h.Record.Superseded != h.Live.Version.Sum, "a version serves whose place another has taken")
		o.must(h.Next != nil || h.Standing != states.Serving || h.serve == h.Live.Version, "what would be started again is not what serves")
		o.must(h.Record.Serves == h.Live.Version.Sum, "the record does not name what serves")
	}
}

// step does something that may happen now.
func (o *owner) step() {
	o.now = o.now.Add(time.Duration(o.r.Int64N(int64(20 * time.Second))))
	versions := []string{"1", "2", "3", "4", "5"}
	any := func() store.Version { return version(versions[o.r.IntN(len(versions))]) }
	no := func() (*refusal.Error, states.Retry) {
		return &refusal.Error{Reason: fmt.Sprint("because of ", o.r.IntN(3))}, states.Retry(o.r.IntN(3))
	}
	switch o.r.IntN(21) {
	case 20:
		switch o.r.IntN(5) {
		case 0, 1:
			o.on(Promote{any()})
		case 2:
			o.on(Stranded{})
		default:
			o.on(Judged{canary.Verdict{Promoted: o.r.IntN(3) == 0}})
		}
	case 0, 1:
		o.inodes++
		o.on(file(o.inodes))
	case 2:
		o.inodes++
		o.on(FileRefused{"a.so", handlerdir.ID{Ino: o.inodes}, why})
	case 3:
		o.on(FileSeen{Missed: o.r.IntN(2) == 0})
	case 4:
		if o.r.IntN(4) == 0 {
			o.on(FileGone{})
		}
	case 5:
		o.on(FileOrphaned{})
	case 6:
		o.on([]Event{TryAgain{}, FallBack{}, Renew{}}[o.r.IntN(3)])
	case 7, 8, 9:
		switch {
		case !o.admitting:
		case o.r.IntN(5) == 0:
			o.on(Delayed{"building"})
		default:
			o.admitting = false
			e := Admitted{Version: any(), Mixed: o.r.IntN(2) == 0, Changed: o.r.IntN(8) == 0}
			e.Content = past.Content{Sum: e.Version.Sum, Ino: o.Tried.Ino}
			if o.r.IntN(4) == 0 {
				e.Refusal, e.Retry = no()
			}
			o.on(e)
		}
	case 10:
		for st, sums := range o.recalling {
			delete(o.recalling, st)
			e := Recalled{Seat: st}
			if o.r.IntN(3) > 0 {
				e.Version = store.Version{Sum: sums[o.r.IntN(len(sums))]}
			}
			o.on(e)
			break
		}
	case 11, 12, 13:
		switch n := o.Next; {
		case n == nil:
		case n.Phase == states.Starting && o.r.IntN(3) > 0:
			o.on(IsReady{Seat: n, Patterns: []string{"/a"}})
		case n.Phase == states.Proved && o.r.IntN(4) > 0:
			o.on(Granted{n, 1})
		case n.Phase == states.Proved && o.r.IntN(2) == 0:
			o.on(Denied{n, why})
		case n.Phase != states.Recalling:
			delete(o.processes, n)
			e := Failed{Seat: n}
			e.Refusal, e.Retry = no()
			o.on(e)
		}
	case 14, 15:
		if o.Standing == states.Serving {
			delete(o.processes, o.Live)
			o.on(Died{Seat: o.Live, How: "it died", Lived: time.Duration(o.r.Int64N(int64(2 * time.Minute))), Cut: o.r.IntN(8) == 0, Shared: o.r.IntN(8) == 0})
		}
	case 16, 17:
		if n := len(o.wakes); n > 0 {
			i := o.r.IntN(n)
			w := o.wakes[i]
			o.wakes = slices.Delete(o.wakes, i, i+1)
			o.on(w.Event)
		}
	case 18:
		switch o.r.IntN(4) {
		case 0:
			if sum, err := o.Target(""); err == nil && o.Of == "" {
				o.on(RollBack{store.Version{Sum: sum}})
			}
		case 1:
			if o.Live != nil {
				o.on(Hold{any().Sum})
			}
		case 2:
			o.on(Release{})
		case 3:
			if o.Presence == states.Leaving {
				o.on(HeirsDecided{})
			}
		}
	case 19:
		if o.Standing == states.Serving && o.Next == nil {
			st := &states.Seat{Version: o.Live.Version, Why: states.Again, Patterns: []string{"/a"}}
			o.processes[st] = true
			o.on(Gathered{st})
		}
	}
}

// Whatever happens, and in whatever order: what serves does so until another takes
// over, no process is left over, nothing is stuck, and every refusal ends.
func TestInvariants(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 11))
		o := &owner{
			t: t, r: r, seed: seed, now: begin,
			Handler:   New([]string{"a", "a", "a.canary"}[seed%3], store.Record{}, r.IntN(2) == 0, Rules{Dir: "/handlers", CrashLimit: r.IntN(5), CrashWindow: time.Minute}, begin),
			recalling: make(map[*states.Seat][]string), processes: make(map[*states.Seat]bool),
		}
		for range 150 {
			o.step()
		}
	}
}
