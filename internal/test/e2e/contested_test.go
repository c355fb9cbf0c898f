package e2e

import (
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// The incumbent keeps a contested pattern, whatever the names, and keeps it
// across a restart of the daemon. The newcomer is told who has it, and gets it
// without anybody's doing once it is free.
func TestContestedPattern(t *testing.T) {
	for _, names := range [][2]string{{"alpha", "omega"}, {"omega", "alpha"}} {
		t.Run(names[0]+" first", func(t *testing.T) {
			first, second := names[0], names[1]
			d := testbed.Start(t)
			d.Put(first, plain(t, "/both/{id}", "first"))
			// A pattern that conflicts without being the same, and one that
			// is merely more specific.
			d.Put("specific", plain(t, "/both/one", "specific"))
			newcomer := plain(t, "/both/{other}", "second")
			mark := d.Log.Len()
			d.Drop(second, newcomer)
			check := func(d *testbed.Daemon, mark int) {
				t.Helper()
				e := d.WaitRefused(mark, second)
				want := `pattern "/both/{other}" conflicts with "/both/{id}" of handler "` + first + `"`
				if e.Get("reason") != want || !strings.Contains(e.Get("mend"), "remove "+first+".so") {
					t.Errorf("refusal: %s", e.Raw)
				}
				if h, ok := d.Handler(second); !ok || h.State != "refused" || h.Refusal == nil || h.Refusal.Reason != want {
					t.Errorf("status: %+v", h)
				}
				errs, code := d.Reload()
				if code != 1 || !strings.Contains(errs, "refused "+second+": ") {
					t.Errorf("reload: exit %d: %s", code, errs)
				}
				d.Want("/both/two", 200, "first")
				d.Want("/both/one", 200, "specific")
			}
			check(d, mark)
			for range 3 {
				d.Stop()
				d = testbed.Start(t, testbed.In(d.Dir))
				check(d, 0)
			}
			// A new version of the incumbent does not lose the pattern.
			d.Put(first, plain(t, "/both/{id}", "first, newer"))
			d.Want("/both/two", 200, "first, newer")

			// One that does not want it any more frees it.
			mark = d.Log.Len()
			d.Put(first, plain(t, "/elsewhere", "moved"))
			d.WaitLive(mark, second, newcomer)
			d.Want("/both/two", 200, "second")
			d.Want("/elsewhere", 200, "moved")
			if h, _ := d.Handler(second); h.State != "live" || h.Refusal != nil {
				t.Errorf("status: %+v", h)
			}

			// Now it is the incumbent; the other is refused until it goes.
			again := plain(t, "/both/{id}", "back")
			mark = d.Log.Len()
			d.Drop(first, again)
			e := d.WaitRefused(mark, first)
			if !strings.Contains(e.Msg(), "goes on serving") || !strings.Contains(e.Get("reason"), second) {
				t.Errorf("refusal: %s", e.Raw)
			}
			d.Want("/elsewhere", 200, "moved")
			mark = d.Log.Len()
			d.Take(second)
			d.WaitLive(mark, first, again)
			d.Want("/both/two", 200, "back")
		})
	}
}
