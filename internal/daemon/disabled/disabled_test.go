package disabled

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func open(t *testing.T, path string) *Set {
	t.Helper()
	s, err := Open(path, func(handler string) string {
		if handler == "set" {
			return "f:3"
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What an operator has disabled stays so over a restart, until it is enabled; what the settings
// say, they alone take back.
func TestPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disabled")
	s := open(t, path)
	for _, step := range []struct {
		name    string
		disable bool
		want    string // who is disabled of a, b and set
		failed  string
	}{
		{"a", true, "a set", ""},
		{"a", true, "a set", ""},
		{"b", true, "a b set", ""},
		{"a", false, "b set", ""},
		{"none", false, "b set", ""},
		{"../x", true, "b set", "cannot name a handler"},
		{"set", false, "b set", "disabled by the settings, in f:3"},
		{"set", true, "b set", ""},
	} {
		if err := s.Put(step.name, step.disable); (err == nil) != (step.failed == "") || err != nil && !strings.Contains(err.Error(), step.failed) {
			t.Errorf("%s %v: %v, want %q", step.name, step.disable, err, step.failed)
		}
		for _, s := range []*Set{s, open(t, path)} {
			var got []string
			for _, name := range []string{"a", "b", "set"} {
				if s.Has(name) {
					got = append(got, name)
				}
			}
			if strings.Join(got, " ") != step.want {
				t.Errorf("%s %v: disabled are %q, want %s", step.name, step.disable, got, step.want)
			}
		}
	}
	s.Configure(func(string) string { return "" })
	if !s.Has("set") || s.Put("set", false) != nil || s.Has("set") {
		t.Error("with other settings: it cannot be enabled")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

// Where it cannot be kept, all is as it was.
func TestNotKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := open(t, filepath.Join(dir, "disabled"))
	if err := s.Put("a", true); err == nil || s.Has("a") {
		t.Errorf("%v, disabled: %v", err, s.Has("a"))
	}
}
