package syncing

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

// What serves, is a canary, or was promoted is as it should be; what does not serve, or was withdrawn, is refused.
func TestVerdict(t *testing.T) {
	a := syncplan.Action{Handler: "a", Kind: syncplan.Keep, Want: synced.Want{File: synced.Blob{Digest: "sha256:0123456789abcdef"}}}
	const version, other = "0123456789ab", "ba9876543210"
	for what, tt := range map[string]struct {
		h             *api.Handler
		refused, live bool
	}{
		"live":       {&api.Handler{State: api.StateLive, Version: version}, false, true},
		"canary":     {&api.Handler{State: api.StateCanary, Version: version}, false, true},
		"promoted":   {&api.Handler{State: api.StatePromoted, Refusal: &api.Refusal{Promoted: true}}, false, false},
		"superseded": {&api.Handler{State: api.StateLive, Version: other, Refusal: &api.Refusal{Promoted: true}}, false, false},
		"disabled":   {&api.Handler{State: api.StateDisabled}, false, false},
		"withdrawn":  {&api.Handler{State: api.StateWithdrawn, Refusal: &api.Refusal{Reason: "slow"}}, true, false},
		"refused":    {&api.Handler{State: api.StateLive, Version: version, Refusal: &api.Refusal{Reason: "bad"}}, true, false},
		"another":    {&api.Handler{State: api.StateLive, Version: other}, true, false},
		"crashed":    {&api.Handler{State: api.StateCrashed, Version: version}, true, false},
		"gone":       {nil, true, false},
	} {
		r := new(run)
		if got := r.verdict(a, tt.h); got != tt.refused || len(r.out.Refused) > 0 != tt.refused || len(r.out.Live) > 0 != tt.live {
			t.Errorf("%s: refused is %v, %+v", what, got, r.out)
		}
	}
}

// An entry of an instance is about that's daemon, and its folder.
func TestInstance(t *testing.T) {
	dir, asked := t.TempDir(), ""
	if err := os.WriteFile(filepath.Join(dir, "shop.conf"), []byte("[Sync]\nRef=r/shop:prod\nInstance=yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Command{entry: "shop", dir: dir}
	err := c.follow(func(usual string) string { asked = usual; return usual })
	if err != nil || asked != "/run/plugserver@shop/control.sock" || c.o.State != "/var/lib/plugserver@shop" || !c.o.Blind {
		t.Errorf("%v; it asks at %q, %+v", err, asked, c.o)
	}
}

// A timer's sync is one however often it is to ask, and an operator's is none.
func TestScheduled(t *testing.T) {
	dir := t.TempDir()
	for ago, want := range map[time.Duration]bool{0: true, time.Second: true, -time.Second: true, 10 * time.Second: false, 24 * time.Hour: false} {
		t.Setenv("TRIGGER_UNIT", "plugserver-sync@shop.timer")
		t.Setenv("TRIGGER_TIMER_REALTIME_USEC", fmt.Sprint(time.Now().Add(-ago).UnixMicro()))
		if got := triggered(time.Now()); got != want {
			t.Errorf("the timer has elapsed %v ago: %v", ago, got)
		}
	}
	t.Setenv("TRIGGER_TIMER_REALTIME_USEC", "")
	for interval, want := range map[string]time.Duration{"0": time.Minute, "10s": time.Minute, "2h": 2 * time.Hour} {
		if err := os.WriteFile(filepath.Join(dir, "shop.conf"), []byte("[Sync]\nRef=r/shop:prod\nInterval="+interval+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for unit, want := range map[string]time.Duration{"plugserver-sync@shop.timer": want, "": 0} {
			t.Setenv("TRIGGER_UNIT", unit)
			c := &Command{entry: "shop", dir: dir, scheduled: true}
			if err := c.follow(nil); err != nil || c.o.Every != want {
				t.Errorf("Interval=%s of %q: %v, %v", interval, unit, c.o.Every, err)
			}
		}
	}
}
