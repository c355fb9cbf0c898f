package epoll

import (
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// pipe returns both ends of one, which the test closes.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(p[0]); syscall.Close(p[1]) })
	return p[0], p[1]
}

func add(t *testing.T, fd int) *Watch {
	t.Helper()
	w, err := Add(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Remove() })
	return w
}

// Each Arm is called once: for what came before it, too, and at the end.
func TestArm(t *testing.T) {
	r, w := pipe(t)
	watch := add(t, r)
	called := make(chan struct{}, 10)
	arm := func() {
		t.Helper()
		if !watch.Arm(func() { called <- struct{}{} }) {
			t.Fatal("not armed")
		}
	}
	var b [1]byte
	for range 3 {
		arm()
		syscall.Write(w, b[:])
		<-called
		arm() // nothing was read
		<-called
		syscall.Read(r, b[:])
	}
	arm()
	end, err := syscall.Dup(w)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(end) // is not the last
	syscall.Dup3(r, w, syscall.O_CLOEXEC)
	<-called
	if n := len(called); n != 0 {
		t.Errorf("called %d times more", n)
	}
}

func TestRemove(t *testing.T) {
	r, w := pipe(t)
	watch := add(t, r)
	if !watch.Arm(func() { t.Error("called") }) || watch.Removed() {
		t.Error("not armed")
	}
	if watch.Remove() == nil {
		t.Error("nothing was to be called")
	}
	syscall.Write(w, []byte("x"))
	if watch.Remove() != nil || !watch.Removed() || watch.Arm(func() { t.Error("called") }) {
		t.Error("it is still there")
	}
	if again := add(t, r); again.Remove() != nil {
		t.Error("something was to be called that nobody has asked for")
	}
	if len(all.watches) != 0 {
		t.Errorf("%d are left", len(all.watches))
	}
}

// Many wait, and none has a goroutine.
func TestMany(t *testing.T) {
	const many = 300
	before := runtime.NumGoroutine()
	var called sync.WaitGroup
	var writers []int
	for range many {
		r, w := pipe(t)
		called.Add(1)
		if !add(t, r).Arm(called.Done) {
			t.Fatal("not armed")
		}
		writers = append(writers, w)
	}
	if n := runtime.NumGoroutine() - before; n > 1 {
		t.Errorf("%d goroutines", n)
	}
	for _, w := range writers {
		syscall.Write(w, []byte("x"))
	}
	called.Wait()
}
