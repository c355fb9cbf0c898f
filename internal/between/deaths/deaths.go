// Package deaths tells of the death of children. The kernel does by SIGCHLD, and by one of several at a time: so none needs a
// descriptor of its own, nor a goroutine.
package deaths

import (
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alive are what to do once a child is dead, by its PID.
var alive = struct {
	sync.Mutex
	then map[int]func()
}{then: make(map[int]func())}

// restful is how many times as long as a look at each child took nobody looks again.
const restful = 10

// strangers is nudged where the death of a child was told that nobody awaits here.
var strangers = make(chan struct{}, 1)

// Strangers is where this process learns that a child may have ended that nobody awaits, once Begin was called. It is for one
// goroutine. More than one may have, and it may be reaped by now.
func Strangers() <-chan struct{} { return strangers }

// Begin has deaths told, from now on and for good. It is called before there is a child that is waited for.
var Begin = sync.OnceFunc(func() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGCHLD)
	go func() {
		for range ends {
			if first() {
				continue
			}
			select {
			case strangers <- struct{}{}:
			default:
			}
			began := time.Now()
			each()
			time.Sleep(restful * time.Since(began))
		}
	}()
})

// Await has then called once a child is dead, which reaps it. Others wait meanwhile. Nobody else reaps that child.
func Await(pid int, then func()) {
	alive.Lock()
	alive.then[pid] = then
	alive.Unlock()
	if then := taken(pid); then != nil { // it was before we knew it
		then()
	}
}

// taken takes a child out of those that live, if it does not.
func taken(pid int) (then func()) {
	alive.Lock()
	defer alive.Unlock()
	if then = alive.then[pid]; then == nil || dead(unix.P_PID, pid) != pid {
		return nil
	}
	delete(alive.then, pid)
	return then
}

// dead is a process that has ended and was not reaped, 0 if there is none. It is left to be reaped.
func dead(kind, id int) int {
	var of struct { // sigaction(2)
		signo, _, _ int32
		_           [0]uintptr
		pid         int32
		_           [unsafe.Sizeof(unix.Siginfo{})]byte
	}
	if unix.Waitid(kind, id, (*unix.Siginfo)(unsafe.Pointer(&of)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != nil || of.signo == 0 {
		return 0
	}
	return int(of.pid)
}

// first has the dead reaped that the kernel finds first, until there is none. It reports false at one that is somebody else's:
// others may stand behind it.
func first() bool {
	for pid := dead(unix.P_ALL, 0); pid != 0; pid = dead(unix.P_ALL, 0) {
		then := taken(pid)
		if then == nil {
			return false
		}
		then()
	}
	return true
}

// each looks at each child.
func each() {
	alive.Lock()
	pids := slices.Collect(maps.Keys(alive.then))
	alive.Unlock()
	for _, pid := range pids {
		if then := taken(pid); then != nil {
			then()
		}
	}
}
