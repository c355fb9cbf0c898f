package config

import (
	"os"
	"path/filepath"
	"testing"

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
