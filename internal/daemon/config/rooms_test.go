package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

// What the file says of a handler goes before the flag that is for all.
func TestMaxBody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugserverd.conf")
	if err := os.WriteFile(path, []byte("[Handler small]\nMaxBodyBytes=1K\n[Handler any]\nMaxBodyBytes=infinity\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string][3]int64{"10M": {1 << 10, 0, 10 << 20}, "infinity": {1 << 10, 0, 0}} {
		c, err := Parse([]string{"--max-body", flag}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		of := c.Settings(file)
		for i, name := range []string{"small", "any", "other"} {
			if got := of(name).Bounds.MaxBodyBytes; got != want[i] {
				t.Errorf("--max-body %s: %s has %d, want %d", flag, name, got, want[i])
			}
		}
	}
}

// What is a handler's own is below the daemon's folders, wherever it was started; what is secret is not shown.
func TestBelongings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugserverd.conf")
	if err := os.WriteFile(path, []byte("[Handler a]\nStateDirectory=a b\nSetCredential=x:hunter2\nHoldTimeout=1min\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse([]string{"--state", "run", "--cell", "bin/cell"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(here, "bin/cell"); c.Cell != want {
		t.Errorf("the cell is %s, for who works elsewhere: want %s", c.Cell, want)
	}
	a, other := c.Settings(file)("a"), c.Settings(file)("other")
	want := belongings.Belongings{
		Credentials: []belongings.Credential{{Name: "x", Content: "hunter2"}},
		State:       []string{filepath.Join(here, "run/state/a"), filepath.Join(here, "run/state/b")},
	}
	if !a.Belongings.Equal(want) || a.Belongings.Keep != "/run/plugserver/credentials-5d576573" || a.Hold != time.Minute {
		t.Errorf("a has %+v, a hold of %v", a.Belongings, a.Hold)
	}
	if !other.Belongings.Equal(belongings.Belongings{}) || other.Hold != 0 {
		t.Errorf("another has %+v", other.Belongings)
	}
	shown := fmt.Sprint(c.Show(file, "a"), c.Show(file, "other"))
	if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "{SetCredential x:(hidden) "+path+":3 }") || !strings.Contains(shown, "{HoldTimeout 2s default }") {
		t.Errorf("shown is %s", shown)
	}
}

// What control groups alone bound is in force where one is delegated, and else it is said why not.
func TestBounds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plugserverd.conf")
	if err := os.WriteFile(path, []byte("[Handler a]\nCPUQuota=50%\nTasksMax=10%\nMemoryMax=64M\n[Handler b]\nTasksMax=infinity\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		has        string // controllers; "" is no group
		cpu, tasks int
		unheeded   []string // keys
	}{
		{"cpu memory pids", 5000, 200, nil},
		{"cpu memory", 5000, 0, []string{"TasksMax"}},
		{"memory pids", 0, 200, []string{"CPUQuota"}},
		{"", 0, 0, []string{"CPUQuota", "TasksMax"}},
	} {
		c, err := Parse(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.has != "" {
			group := filepath.Join(dir, tt.has)
			if err := os.Mkdir(group, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"cgroup.controllers": tt.has, "pids.max": "2000"} {
				if err := os.WriteFile(filepath.Join(group, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c.Groups = cgroup.At(group)
		}
		got := c.Settings(file)("a")
		if got.Limits.CPU != tt.cpu || got.Limits.Tasks != tt.tasks || got.Limits.Memory != 64<<20 || len(got.Unheeded) != len(tt.unheeded) {
			t.Errorf("%q: %+v, %+v", tt.has, got.Limits, got.Unheeded)
		}
		if b := c.Settings(file)("b"); b.Limits.Tasks != 0 || b.Unheeded != nil {
			t.Errorf("%q: infinity is %+v, %+v", tt.has, b.Limits, b.Unheeded)
		}
		for _, s := range c.Show(file, "a") {
			if lacks := slices.Contains(tt.unheeded, s.Key); (s.NotInForce != "") != lacks {
				t.Errorf("%q: shown is %+v", tt.has, s)
			}
		}
	}
}

// What holds for a handler is looked up, and not made: the supervisor asks for all handlers at each change.
func TestSettingsAreMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugserverd.conf")
	if err := os.WriteFile(path, []byte("[Handler a]\nMaxInFlight=3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	of := c.Settings(file)
	if n := testing.AllocsPerRun(10, func() { of("a"); of("other") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if a, other := of("a"), of("other"); a.Bounds.MaxInFlight != 3 || other.Bounds.MaxInFlight != 0 || a.Sandbox == other.Sandbox {
		t.Errorf("a has %+v, another %+v", a.Bounds, other.Bounds)
	}
}
