package proc

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestUsageOfItself(t *testing.T) {
	pid := os.Getpid()
	before, err := UsageOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	if before.Threads < 1 || before.Private == 0 {
		t.Errorf("%+v", before)
	}
	const size = 64 << 20
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	for range 10 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
	}
	after, err := UsageOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.Private - before.Private; grown < size*9/10 || grown > 8*size { // the race detector has its shadow of it
		t.Errorf("%d bytes more after %d were written to", grown, size)
	}
	if n := after.Descriptors - before.Descriptors; n != 10 {
		t.Errorf("%d descriptors more after 10 files were opened", n)
	}
	if after.CPU <= before.CPU {
		t.Errorf("CPU time %v, then %v", before.CPU, after.CPU)
	}
	if pss, err := proportional(pid); err != nil || pss < size*9/10 {
		t.Errorf("proportional: %d, %v", pss, err)
	}
	if own, err := private(pid); err != nil || own < size*9/10 {
		t.Errorf("private: %d, %v", own, err)
	}
	runtime.KeepAlive(b)
}

func TestUsageOfTheDead(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := UsageOf(cmd.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}
