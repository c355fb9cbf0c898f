package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// bounded runs the daemon with so many descriptors at the most, as a service with LimitNOFILE= is.
func bounded(descriptors int) testbed.Option {
	return testbed.Wrap(func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, descriptors), cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	})
}

// A daemon that has as many handlers as its descriptors allow says so of the next file. All else goes on: versions
// are replaced, what dies comes back, the operator is answered; and the file is taken once there is room.
func TestAsManyHandlersAsFit(t *testing.T) {
	const limit = 128
	d := testbed.Start(t, bounded(limit), testbed.Allow("crashed: ", "gate died", "cannot be joined"))
	name := func(n int) string { return fmt.Sprintf("h%02d", n) }
	var live int
	for ; ; live++ {
		if live == limit/3 {
			t.Fatalf("%d handlers of three descriptors each are live", live)
		}
		mark, next := d.Log.Len(), name(live)
		d.Drop(next, plain(t, "/"+next, "one"))
		e := d.WaitLogFrom(mark, "the outcome of "+next, func(e testbed.Entry) bool {
			return e.Get("handler") == next && (e.Get("event") == "refused" || e.Get("event") == "live")
		})
		if e.Get("event") == "live" {
			continue
		}
		for _, says := range []string{"too many open files", fmt.Sprintf("may have %d descriptors", limit), "raise LimitNOFILE= of plugserverd.service", "tried again by itself", "Cell="} {
			if !strings.Contains(e.Raw, says) {
				t.Errorf("refused without %q: %s", says, e.Raw)
			}
		}
		break
	}
	if live < 15 {
		t.Fatalf("no more than %d are live", live)
	}
	if h, ok := d.Handler(name(live)); !ok || h.Refusal == nil || !strings.Contains(h.Refusal.Mend, "LimitNOFILE=") {
		t.Errorf("status: %+v", h)
	}
	if errs, code := d.Reload(); code != 1 || !strings.Contains(errs, "too many open files") {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	for n := range 3 {
		d.Put(name(n), plain(t, "/"+name(n), "two"))
		d.Want("/"+name(n), 200, "two")
	}
	h, _ := d.Handler(name(3))
	for _, pid := range []int{h.PID, d.Status().Daemon.GatePID} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := testbed.AwaitDeath(pid, testbed.Patience); err != nil {
			t.Fatal(err)
		}
		for n := range live {
			version := "one"
			if n < 3 {
				version = "two"
			}
			d.Want("/"+name(n), 200, version)
		}
	}
	mark := d.Log.Len()
	d.Take(name(live - 1))
	d.Take(name(live - 2))
	d.WaitLive(mark, name(live), plain(t, "/"+name(live), "one"))
	d.Want("/"+name(live), 200, "one")
}
