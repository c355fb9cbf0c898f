package terms

import (
	"reflect"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
)

func TestTogether(t *testing.T) {
	a := Terms{Limits: fleet.Limits{Memory: 1, Descriptors: 2}, Env: []string{"A=1", "B=1"}, Bounds: link.Bounds{MaxInFlight: 1}}
	b := Terms{Limits: fleet.Limits{Memory: 3}, Env: []string{"B=2", "C=2"}, DrainTimeout: time.Minute}
	if got, want := Together([]Terms{a}, time.Second), (Terms{Limits: a.Limits, Env: a.Env, DrainTimeout: time.Second}); !reflect.DeepEqual(got, want) {
		t.Errorf("one alone: %+v, want %+v", got, want)
	}
	want := Terms{Limits: fleet.Limits{Memory: 4}, Log: a.Log.And(b.Log), Env: []string{"A=1", "B=2", "C=2"}, DrainTimeout: time.Minute}
	if got := Together([]Terms{a, b}, time.Second); !reflect.DeepEqual(got, want) {
		t.Errorf("both: %+v, want %+v", got, want)
	}
	a.Sandbox, b.Sandbox = &sandbox.Rules{Write: []string{"/a"}, Private: "/tmp"}, &sandbox.Rules{Write: []string{"/b"}, Private: "/tmp"}
	if got := Together([]Terms{a, b}, 0).Sandbox; !got.Equal(&sandbox.Rules{Write: []string{"/a", "/b"}, Private: "/tmp"}) {
		t.Errorf("the sandbox of both: %+v", got)
	}
	b.Sandbox.Open = true
	if got := Together([]Terms{a, b}, 0).Sandbox; !got.Open {
		t.Errorf("one without a sandbox has one for the other: %+v", got)
	}
	if a.Env[1] != "B=1" {
		t.Error("one's own terms have changed")
	}
}

// What a process has from its start takes a new one; what is looked at later does not.
func TestOutdate(t *testing.T) {
	old := Terms{Limits: fleet.Limits{Memory: 1}, Env: []string{"A=1"}, Bounds: link.Bounds{MaxInFlight: 1}}
	for what, change := range map[string]func(*Terms){
		"limits":      func(t *Terms) { t.Limits.Memory = 2 },
		"environment": func(t *Terms) { t.Env = []string{"A=2"} },
		"sandbox":     func(t *Terms) { t.Sandbox = &sandbox.Rules{Read: []string{"/a"}} },
		"belongings":  func(t *Terms) { t.Belongings.Credentials = []belongings.Credential{{Name: "a", Content: "b"}} },
		"bounds":      func(t *Terms) { t.Bounds.RequestTimeout = 1 },
	} {
		now := old
		if change(&now); !old.Outdate(now) {
			t.Errorf("another of %s: the process stays", what)
		}
	}
	now := old
	now.DrainTimeout, now.Hold, now.Log.Burst, now.Env = 1, 1, 1, []string{"A=1"}
	if old.Outdate(now) {
		t.Error("it takes a new process")
	}
}

// Who has something of their own that a process has one of do not share one, but where it is the same.
func TestAgree(t *testing.T) {
	all := []belongings.Belongings{
		{}, {Dir: "/w"}, {State: []string{"/s/a"}}, {Credentials: []belongings.Credential{{Name: "a", Content: "1"}}}, {Credentials: []belongings.Credential{{Name: "a", Content: "2"}}},
	}
	for i, a := range all {
		for j, b := range all {
			one, other := Terms{Belongings: a, Env: []string{"A=1"}}, Terms{Belongings: b}
			if err := one.Agree(other); (err == nil) != (i == j) {
				t.Errorf("%+v and %+v: %v", a, b, err)
			}
		}
		if got := Together([]Terms{{Belongings: a}, {Belongings: a}}, 0).Belongings; !got.Equal(a) {
			t.Errorf("together they have %+v, not %+v", got, a)
		}
	}
}
