package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A cell that never acknowledges its routes holds up no change but its own, and
// that not for long: not the start of the service, and not a reload. It is killed,
// which is told, and no other handler's client notices.
func TestMuteCell(t *testing.T) {
	dir := testbed.NewDir(t)
	d := testbed.Start(t, testbed.In(dir), testbed.Flags("--cell", testbed.MuteCell(t)), testbed.Allow("crashed: mute", "live again: mute", "quarantined"))
	d.Put("calm", plain(t, "/calm", "calm"))
	load := testbed.Plan{Addr: d.Addr, Clients: 2, Paths: []string{"/calm"}}.Run(t)
	end := watchAnswers(d)
	mark := d.Log.Len()
	began := time.Now()
	d.Drop("mute", plain(t, "/mute", "mute"))
	d.Drop("other", plain(t, "/other", "other"))
	d.Reload() // its outcome is another matter
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a reload took %v", took)
	}
	d.Want("/other", 200, "other")
	e := d.WaitLogFrom(mark, "the kill", testbed.Says("mute", "killed: mute"))
	if e.Get("reason") != "it did not take its routes" {
		t.Errorf("killed: %s", e.Raw)
	}
	e = d.WaitLogFrom(mark, "the crash", event("crashed", "mute"))
	if want := "signal: killed: it did not take its routes"; e.Get("reason") != want {
		t.Errorf("crashed: %s", e.Raw)
	}
	if took := end(); took > answerTime() {
		t.Errorf("the supervisor took %v to answer", took)
	}
	load.Unharmed(t)

	// As the service starts, the others do not wait for it longer.
	d.Stop()
	began = time.Now()
	d = testbed.Start(t, testbed.In(dir), testbed.Flags("--cell", testbed.MuteCell(t)), testbed.Allow("crashed: mute", "live again: mute", "quarantined"))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the service was ready after %v", took)
	}
	d.Want("/calm", 200, "calm")
	for _, e := range d.Log.From(0) {
		if strings.Contains(e.Msg(), "killed: ") && e.Get("handler") != "mute" {
			t.Errorf("an innocent was killed: %s", e.Raw)
		}
	}
}
