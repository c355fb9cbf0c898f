// Package sandbox confines a child to what is its own, without root: its files, its network and its
// signals by Landlock (landlock(7)), the rest of what one process may do to others by a filter of its
// system calls (seccomp(2)). It is put around the child by its parent, before the child's first
// instruction, and holds for all that the child starts.
//
// What it reads is everything that its user may read, but for what is hidden; what it writes is what
// is named. What a kernel is too old for is not confined: Kernel says what that is.
package sandbox

import (
	"fmt"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Rules are those of one child. Paths are absolute.
type Rules struct {
	// Hide is what may not be read, files and folders with all that is in them. What is not there
	// is nothing to hide.
	Hide []string
	// Read and Write are what may be, in what is hidden too; but where they hold something hidden, that is
	// not in them. All have to be there, but for those with a '-' before.
	Read, Write []string
	// Families are those of the sockets that may be made (AF_INET, socket(2)); nil is as usual.
	Families []int
	// Private is the folder in which the child gets one of its own, which it may write: TMPDIR
	// names it, and it is removed when the child has ended.
	Private string
	// Shelf is the folder in which a child that is started ahead gets one of its own, where it finds
	// the files that it is lent later: what else may be read has to be known before it starts.
	Shelf string
	// System tells which files of the system these are rules of: WithSystem.
	System string
	// Open leaves all open: there is the folder of its own, and no more.
	Open bool
}

// Equal reports whether both are the same rules. Nil is none.
func (r *Rules) Equal(o *Rules) bool { return reflect.DeepEqual(r, o) }

// And is what a process may that may what either may.
func (r *Rules) And(o *Rules) *Rules {
	if r == nil || o == nil {
		return nil
	}
	all := Rules{Hide: union(r.Hide, o.Hide), Read: union(r.Read, o.Read), Write: union(r.Write, o.Write), Private: r.Private, Shelf: r.Shelf, System: r.System, Open: r.Open || o.Open}
	if r.Families != nil || o.Families != nil {
		all.Families = union(r.families(), o.families())
	}
	return &all
}

func union[T comparable](a, b []T) (all []T) {
	all = slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

// Reading is r with paths that it may read, too.
func (r *Rules) Reading(paths ...string) *Rules {
	if r == nil {
		return nil
	}
	more := *r
	more.Read = append(slices.Clone(r.Read), paths...)
	return &more
}

// Start calls start, which starts a process, so that the process is confined.
//
// Linux has each thread confined for itself, and a process as the thread was that has forked it. So it is
// a thread of ours that is confined, for as long as it takes to start the process, and that ends then:
// no other thread is concerned, and the child needs to know nothing, whichever release of us it is of. (It
// would not do where a child is killed on the death of its parent: to the kernel that is the thread,
// PR_SET_PDEATHSIG, prctl(2). Ours learn of that by their link.)
func (r Rules) Start(start func() error) error { return r.startOn(Kernel(), start) }

// startOn is Start on a kernel that can so much.
func (r Rules) startOn(can Can, start func() error) error {
	if r.Open {
		return start()
	}
	set, err := r.ruleset(can)
	if err != nil {
		return err
	}
	if set >= 0 {
		defer unix.Close(set)
	}
	checked() // by a thread that may
	filter := r.filter(can)
	return onThread(func() error {
		if err := confine(set, filter); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		return start()
	})
}

// checked has package os find out what it may do with processes, which it does once.
var checked = sync.OnceFunc(func() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Release()
	}
})

// onThread calls f on a thread that ends with it. Never on the first: that one does not end, and
// stands for all others where the process is looked at (/proc/PID).
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(f) // this one is taken
			runtime.UnlockOSThread()
			return
		}
		done <- f()
	}()
	return <-done
}

// ofRoot are the capabilities that are left to a child of root (capabilities(7)): to read, write and be whom
// it likes, but in its sandbox.
var ofRoot = []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_SETUID, unix.CAP_SETGID}

// confine confines the calling thread: set is Landlock's rules, or -1.
func confine(set int, filter []unix.SockFilter) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if !slices.Contains(ofRoot, c) {
			unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // who may not is not root, and has none to lose
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if set >= 0 {
		if err := restrictSelf(set); err != nil {
			return err
		}
	}
	return install(filter)
}

// Can is what a kernel can.
type Can struct {
	Landlock int // the version of its interface; 0 is without
	Seccomp  bool
}

// Kernel is what this one can.
var Kernel = sync.OnceValue(func() Can { return Can{Landlock: landlockVersion(), Seccomp: canFilter()} })

// The versions of Landlock from which on it has what is named.
const (
	hasRefer   = 2 // files may go from one folder to another, where both may be written
	hasTrunc   = 3
	hasNet     = 4
	hasDevices = 5
	hasScopes  = 6
)

// Lacks says what is not confined, and since which Linux it would be; nil where all is.
func (c Can) Lacks() (all []string) {
	if c.Landlock == 0 {
		return append(all, "files, ports, signals and abstract sockets (Landlock is not in this kernel, is not among its lsm=, or is refused by what runs this container)")
	}
	if c.Landlock < hasNet {
		all = append(all, "listening on TCP ports (since Linux 6.7)")
	}
	if c.Landlock < hasScopes {
		all = append(all, "signals to processes of the same user, and abstract sockets (since Linux 6.12)")
	}
	if !c.Seccomp {
		all = append(all, "system calls that concern other processes (the kernel has no seccomp filters)")
	}
	return all
}
