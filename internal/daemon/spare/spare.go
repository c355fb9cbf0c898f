// Package spare starts cells, and keeps some started ahead: a spare has been executed,
// its runtime is up, and it waits for what it is to run. It belongs to no handler, and
// no request depends on it.
//
// A spare is handed out in the place of a new process where nothing tells them apart: it
// runs the binary that is at the path now, and the libraries, in the same environment, within the same
// limits and in a sandbox of the same rules. Anything else is started anew.
package spare

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/daemon/headroom"
	"github.com/andrestc/go-plugserver/internal/daemon/replaced"
)

const (
	// most bounds the spares, one for each way of starting that was asked for last: each
	// costs memory (docs/benchmarks.md). mostApart bounds those in units, which take longest to start.
	most, mostApart = 2, 1
	// calm is how long nobody has to have asked for a process until a spare is started: it
	// takes no processor time from what is being started.
	calm = 50 * time.Millisecond
	// answerWait is how long a spare has to answer when it is handed out. One that does not
	// was stopped or is dead, and is not blamed on the handler.
	answerWait = 100 * time.Millisecond
	// upWait is how long one has to come up.
	upWait = 10 * time.Second
	// fresh is how long one is what Expect has found it to be: to look takes longer than the file that is waited for to be copied.
	fresh = 50 * time.Millisecond
	// nobody is what ps(1) shows of a spare, behind the binary's name: what it is to run takes
	// its place, and has that much room at the most.
	nobody = "(spare)"
	room   = 512 // bytes
)

// Pool is the spares of one daemon. Any goroutine may call its methods.
type Pool struct {
	run   func(proc.Spec) (Process, error)
	ended func()             // is called when one has ended once the pool was closed
	unfit func(error)        // is called where a spare cannot be used, and why
	old   func(pid int) bool // the process runs libraries that were replaced since
	state func(proc.Spec) string

	mu      sync.Mutex // guards the rest; who has it looks at no file: the supervisor waits for it
	wanted  []wanted   // the ways of starting, the one that was asked for last at the end
	spares  []*spare
	there   int // processes that are nobody's: spares, and those that come up or end
	filling bool
	again   bool        // it is to be filled once more
	idle    *time.Timer // fires when calm has passed
	closed  bool
	apart   sync.Map // by PID: the processes in units of their own
}

// wanted is a way of starting.
type wanted struct {
	way   string // wayOf the spec
	state string // stateOf it, then
	spec  proc.Spec
}

// is reports whether it is the same way, of files in the same state.
func (w wanted) is(o wanted) bool { return w.way == o.way && w.state == o.state }

// spare is one process that waits.
type spare struct {
	Process
	wanted
	out   *output
	taken chan struct{} // closed once it is out of the pool

	asked sync.Mutex // by whom it is asked for a sign of life; guards the rest
	sound time.Time  // when it was found fit last
	unfit bool       // for good: one that is being killed for its silence may still answer
}

// New returns a pool without a spare. start starts a process; unfit is told why a spare that is
// there could not be handed out.
func New(start func(proc.Spec) (Process, error), ended func(), unfit func(error)) *Pool {
	p := &Pool{run: start, ended: ended, unfit: unfit, state: stateOf, old: func(pid int) bool { return replaced.Of(pid) != nil }}
	p.idle = time.AfterFunc(calm, p.fill)
	p.idle.Stop()
	return p
}

// Start returns a spare, or starts a process. What it is to run is told over its link, with
// the title. It may take a moment.
func (p *Pool) Start(spec proc.Spec) (Process, error) {
	way := wayOf(spec)
	for s := p.take(way, spec); s != nil; s = p.take(way, spec) {
		err := s.Lend(spec.Opens) // a disk may be full, and a file may have too many names
		if err != nil {
			p.unfit(err)
		}
		if err == nil && p.taken(s) {
			s.out.lead(spec.Output)
			p.mu.Lock()
			p.there--
			p.mu.Unlock()
			return s.Process, nil
		}
		go p.discard(s.Process)
	}
	return p.begun(spec)
}

// Expect has the spares looked at while whoever is about to want one is not ready yet.
func (p *Pool) Expect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.spares {
		go p.expected(s)
	}
}

// expected looks at a spare, unless it was taken out meanwhile: what it says is for whoever has it.
func (p *Pool) expected(s *spare) {
	s.asked.Lock()
	defer s.asked.Unlock()
	select {
	case <-s.taken:
	default:
		p.fit(s)
	}
}

// taken reports whether a spare that was taken out is fit.
func (p *Pool) taken(s *spare) bool {
	s.asked.Lock()
	defer s.asked.Unlock()
	return p.fit(s)
}

// fit reports whether a spare is as a new process would be, and alive. It asks none that was just found so. The caller has asked locked.
func (p *Pool) fit(s *spare) bool {
	if s.unfit {
		return false
	}
	if time.Since(s.sound) < fresh {
		select {
		case <-s.Exited():
			return false
		default:
			return true
		}
	}
	if s.unfit = s.state != p.state(s.spec) || p.old(s.PID()) || !s.answers(answerWait); s.unfit {
		return false
	}
	s.sound = time.Now()
	return true
}

// begun notes a process that only who keeps it can look at, while it is there.
func (p *Pool) begun(spec proc.Spec) (Process, error) {
	spec.Below = headroom.Below(spec.Served)
	err := headroom.Tasks(spec.Served)
	if err != nil {
		return nil, err
	}
	process, err := p.run(spec)
	if err = headroom.Worded(err); err == nil && spec.Apart.Socket != "" {
		pid := process.PID()
		p.apart.Store(pid, process)
		go func() {
			<-process.Exited()
			p.apart.CompareAndDelete(pid, process)
		}()
	}
	return process, err
}

// Uses is what a process uses.
func (p *Pool) Uses(pid int) (proc.Usage, error) {
	if process, is := p.apart.Load(pid); is {
		return process.(Process).Uses()
	}
	return proc.UsageOf(pid)
}

// take takes a spare out, nil if there is none, and takes note of who was asked for.
func (p *Pool) take(way string, spec proc.Spec) *spare {
	if way == "" {
		return nil
	}
	s := p.out(way)
	if s != nil {
		p.want(s.wanted)
		return s
	}
	asked := wanted{way, p.state(spec), spec}
	asked.spec.Args, asked.spec.Output, asked.spec.Opens, asked.spec.Ahead, asked.spec.Served = nil, nil, nil, true, false
	p.want(asked)
	return nil
}

// out takes a spare out that was started that way.
func (p *Pool) out(way string) *spare {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.spares, func(s *spare) bool { return s.way == way })
	if i < 0 {
		return nil
	}
	s := p.spares[i]
	p.remove(s)
	return s
}

// want takes note of who was asked for.
func (p *Pool) want(asked wanted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.wanted = slices.DeleteFunc(p.wanted, func(w wanted) bool { return w.way == asked.way })
	if asked.state != "" {
		p.wanted = latest(append(p.wanted, asked))
		p.idle.Reset(calm)
	}
}

// latest are those of all that there is to be a spare for.
func latest(all []wanted) (some []wanted) {
	room := map[bool]int{false: most, true: mostApart}
	for _, w := range slices.Backward(all) {
		apart := w.spec.Apart.Socket != ""
		if room[apart]--; room[apart] >= 0 {
			some = append(some, w)
		}
	}
	slices.Reverse(some)
	return some
}

// remove takes a spare out of those that there are; the caller has the lock.
func (p *Pool) remove(s *spare) {
	p.spares = slices.DeleteFunc(p.spares, func(o *spare) bool { return o == s })
	close(s.taken)
}

// fill starts the spares that there are not, and ends those that nobody asks for any more, or
// whose binary or libraries are others by now.
func (p *Pool) fill() {
	p.mu.Lock()
	if p.again = p.filling; p.filling || p.closed {
		p.mu.Unlock()
		return
	}
	p.filling = true
	stale, old := slices.Clone(p.wanted), slices.Clone(p.spares) // no spare is added until this is done
	p.mu.Unlock()
	stale = slices.DeleteFunc(stale, func(w wanted) bool { return p.state(w.spec) == w.state })
	old = slices.DeleteFunc(old, func(s *spare) bool { return !p.old(s.PID()) })
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.wanted = slices.DeleteFunc(p.wanted, func(w wanted) bool { return slices.ContainsFunc(stale, w.is) })
	missing := slices.Clone(p.wanted)
	for _, s := range slices.Clone(p.spares) {
		i := slices.IndexFunc(missing, s.is)
		if i >= 0 && !slices.Contains(old, s) {
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		p.remove(s)
		go p.discard(s.Process)
	}
	p.there += len(missing)
	p.mu.Unlock()
	for _, w := range missing {
		p.begin(w)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.filling = false; p.again && !p.closed {
		p.idle.Reset(calm)
	}
}

// begin starts a spare. What cannot be started costs the next cell a moment, no more.
func (p *Pool) begin(w wanted) {
	s := &spare{wanted: w, out: new(output), taken: make(chan struct{})}
	spec := w.spec
	spec.Args, spec.Output = []string{nobody + strings.Repeat(" ", room-len(nobody))}, s.out.printed
	process, err := p.begun(spec)
	if err != nil {
		p.gone()
		return
	}
	s.Process = process
	up := p.state(spec) == w.state && s.answers(upWait)
	p.mu.Lock()
	up = up && !p.closed
	if up {
		p.spares = append(p.spares, s)
	}
	p.mu.Unlock()
	if !up {
		p.discard(process)
		return
	}
	go p.watch(s)
}

// watch takes a spare out that dies. Another one comes with the next that is asked for.
func (p *Pool) watch(s *spare) {
	select {
	case <-s.taken:
		return
	case <-s.Exited():
	}
	p.mu.Lock()
	lost := slices.Contains(p.spares, s)
	if lost {
		p.remove(s)
	}
	p.mu.Unlock()
	if lost {
		p.discard(s.Process)
	}
}

// discard ends a process that is nobody's.
func (p *Pool) discard(process Process) {
	process.Kill()
	process.End(0)
	process.Close()
	p.gone()
}

func (p *Pool) gone() {
	p.mu.Lock()
	p.there--
	closed := p.closed
	p.mu.Unlock()
	if closed {
		p.ended()
	}
}

// Close ends the spares, and the starting of any. What is asked for from now on is started
// anew.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.idle.Stop()
	for _, s := range slices.Clone(p.spares) {
		p.remove(s)
		go p.discard(s.Process)
	}
}

// Empty reports whether there is no process that is nobody's.
func (p *Pool) Empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.there == 0
}

// PIDs are the spares' processes.
func (p *Pool) PIDs() (all []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.spares {
		all = append(all, s.PID())
	}
	slices.Sort(all)
	return all
}

// answers reports whether a spare answers in time. Nobody else hears it meanwhile.
func (s *spare) answers(wait time.Duration) bool {
	late := time.AfterFunc(wait, s.Kill)
	defer late.Stop()
	if s.Send(link.Message{Kind: link.Ping}) != nil {
		return false
	}
	for {
		switch m, err := s.Recv(); {
		case err != nil:
			return false
		case m.Kind == link.Pong:
			return late.Stop()
		}
	}
}

// wayOf says all that tells processes apart but for what they are told or lent later, and what stateOf says, be it a field
// of Spec's to come; "" where one cannot wait, or has something of its own: no credentials lie with who waits.
func wayOf(spec proc.Spec) string {
	if spec.As != nil || !spec.Belongings.Equal(belongings.Belongings{}) {
		return ""
	}
	var rules string
	if r := spec.Sandbox; r != nil {
		if !r.Open && r.Shelf == "" {
			return ""
		}
		rules = fmt.Sprintf("%#v", *r)
	}
	spec.Args, spec.Output, spec.Opens, spec.Ahead, spec.Served, spec.Sandbox = nil, nil, nil, false, false, nil
	return fmt.Sprintf("%#v %s", spec, rules)
}

// stateOf says in what state the files are of which a process is made; "" where there is no binary.
func stateOf(spec proc.Spec) string {
	var is syscall.Stat_t
	if syscall.Stat(spec.Path, &is) != nil {
		return ""
	}
	state := fmt.Sprint(is.Dev, is.Ino, is.Size, is.Mtim, is.Ctim)
	if spec.Sandbox != nil {
		state += spec.Sandbox.Stamp()
	}
	return state
}

// output is what a process prints, kept until somebody wants it.
type output struct {
	mu    sync.Mutex // guards the rest
	to    func(stream, line string)
	early [][2]string
}

const mostEarly = 100 // lines

func (o *output) printed(stream, line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.to != nil:
		o.to(stream, line)
	case len(o.early) < mostEarly:
		o.early = append(o.early, [2]string{stream, line})
	}
}

// lead leads it to where it belongs from now on.
func (o *output) lead(to func(stream, line string)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to = to
	for _, l := range o.early {
		to(l[0], l[1])
	}
	o.early = nil
}
