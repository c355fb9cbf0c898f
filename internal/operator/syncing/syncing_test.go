package syncing

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A timer's sync is one however often it is to ask, and an operator's is none.
func TestScheduled(t *testing.T) {
	dir := t.TempDir()
	for interval, want := range map[string]time.Duration{"0": time.Minute, "10s": time.Minute, "2h": 2 * time.Hour} {
		if err := os.WriteFile(filepath.Join(dir, "shop.conf"), []byte("[Sync]\nRef=r/shop:prod\nInterval="+interval+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for unit, want := range map[string]time.Duration{"plugserver-sync@shop.timer": want, "": 0} {
			t.Setenv("TRIGGER_UNIT", unit)
			c := &Command{entry: "shop", dir: dir, scheduled: true}
			if err := c.follow(); err != nil || c.o.Every != want {
				t.Errorf("Interval=%s of %q: %v, %v", interval, unit, c.o.Every, err)
			}
		}
	}
}
