package proc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// A child that is beyond a limit is killed, and its status says why.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		what   string
		limits Limits
		says   string
	}{
		{"hog", Limits{Memory: 64 << 20}, "memory, its limit is 64 MiB"},
	} {
		child, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=" + c.what}, Limits: c.limits, Output: func(string, string) {}})
		if err != nil {
			t.Fatal(err)
		}
		child.Link.Send(link.Message{Kind: link.Open})
		select {
		case <-child.Exited():
		case <-time.After(20 * time.Second):
			t.Errorf("%s: still there", c.what)
			child.Kill()
			<-child.Exited()
		}
		child.Link.Close()
		if !strings.HasPrefix(child.Status(), "killed: it ") || !strings.Contains(child.Status(), c.says) {
			t.Errorf("%s: status %q, want %q in it", c.what, child.Status(), c.says)
		}
	}
}

// A child that has all the descriptors that it may have lives on: the kernel
// gives it no more.
func TestDescriptorLimit(t *testing.T) {
	child, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=leak"}, Limits: Limits{Descriptors: 100}, Output: func(string, string) {}})
	if err != nil {
		t.Fatal(err)
	}
	child.Link.Send(link.Message{Kind: link.Open})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		n, err := descriptors(child.PID)
		if err != nil || n > 100 || time.Now().After(end) {
			t.Fatalf("%d descriptors, %v", n, err)
		}
		if n == 100 {
			break
		}
	}
	select {
	case <-child.Exited():
		t.Error(child.Status())
	case <-time.After(3 * sampleEvery):
	}
	child.Kill()
	<-child.Exited()
	child.Link.Close()
}

// A child within its limits lives on.
func TestWithinLimits(t *testing.T) {
	child, err := Start(Spec{Path: self, Env: []string{"PROC_CHILD=echo"}, Limits: Limits{Memory: 1 << 30, Descriptors: 500}, Output: func(string, string) {}})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(3 * sampleEvery); time.Now().Before(end); {
		if err := child.Link.Send(link.Message{Kind: link.Ping}); err != nil {
			t.Fatal(err)
		}
		if _, err := child.Link.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	child.Kill()
	<-child.Exited()
	child.Link.Close()
	if child.Exceeded() != "" {
		t.Error(child.Status())
	}
}

func TestMemoryLimitIsTold(t *testing.T) {
	l := Limits{Memory: 100}
	if got := l.environ([]string{"A=b"}); !slices.Equal(got, []string{"A=b", "GOMEMLIMIT=90"}) {
		t.Error(got)
	}
	if got := l.environ([]string{"GOMEMLIMIT=7"}); !slices.Equal(got, []string{"GOMEMLIMIT=7"}) {
		t.Error(got)
	}
}

// Who shares a process may use what each may alone, and has no bound where one has none.
func TestSharedLimits(t *testing.T) {
	a, none := Limits{Memory: 3, Descriptors: 5, CPU: 7, Tasks: 9}, Limits{}
	if got := a.And(Limits{Memory: 4, Descriptors: 6, CPU: 8, Tasks: 10}); got != (Limits{7, 11, 15, 19}) {
		t.Errorf("%+v", got)
	}
	if got := a.And(none); got != none {
		t.Errorf("%+v", got)
	}
}
