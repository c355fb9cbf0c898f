package syncing

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
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
		wanted        string // the version of the canary that the registry has
		judged        bool   // a canary that it has not
	}{
		"live":               {&api.Handler{State: api.StateLive, Version: version}, false, true, "", false},
		"canary":             {&api.Handler{State: api.StateCanary, Version: version}, false, true, "", false},
		"promoted":           {&api.Handler{State: api.StatePromoted, Refusal: &api.Refusal{Promoted: true}}, false, false, "", false},
		"superseded":         {&api.Handler{State: api.StateLive, Version: other, Refusal: &api.Refusal{Promoted: true}}, true, false, "", false},
		"by what is wanted":  {&api.Handler{State: api.StateLive, Version: other, Refusal: &api.Refusal{Promoted: true}}, false, false, other, false},
		"by what was wanted": {&api.Handler{State: api.StateLive, Version: other, Refusal: &api.Refusal{Promoted: true}}, true, false, version, false},
		"beside another":     {&api.Handler{State: api.StateLive, Version: other, Refusal: &api.Refusal{Promoted: true}}, false, false, "", true},
		"disabled":           {&api.Handler{State: api.StateDisabled}, false, false, "", false},
		"withdrawn":          {&api.Handler{State: api.StateWithdrawn, Refusal: &api.Refusal{Reason: "slow"}}, true, false, "", false},
		"refused":            {&api.Handler{State: api.StateLive, Version: version, Refusal: &api.Refusal{Reason: "bad"}}, true, false, "", false},
		"another":            {&api.Handler{State: api.StateLive, Version: other}, true, false, "", false},
		"crashed":            {&api.Handler{State: api.StateCrashed, Version: version}, true, false, "", false},
		"gone":               {nil, true, false, "", false},
	} {
		r := &run{record: new(synced.Record)}
		if tt.wanted != "" {
			r.record.Desired = map[string]synced.Want{"a.canary": {File: synced.Blob{Digest: "sha256:" + tt.wanted}}}
		}
		if tt.judged {
			r.o.Canary, r.all = true, []syncplan.Action{{Handler: "a.canary", Kind: syncplan.Keep, Want: synced.Want{File: synced.Blob{Digest: "sha256:" + version}}}}
		}
		a.Handler = "a"
		if tt.h != nil && tt.h.State == api.StatePromoted {
			a.Handler = "a.canary"
		}
		if tt.h != nil {
			tt.h.Name = a.Handler
		}
		if got := r.verdict(a, tt.h); got != tt.refused || len(r.out.Refused) > 0 != tt.refused || len(r.out.Live) > 0 != tt.live {
			t.Errorf("%s: refused is %v, %+v", what, got, r.out)
		}
	}
}

// What was put back is tried again by a sync, and by nothing else.
func TestPutBackSaysWhatToDo(t *testing.T) {
	r := new(run)
	r.refuse("a", "sha256:0123", api.Refusal{Reason: "taken", Mend: refusal.Taken("/a", "b", "/a").Mend}, true)
	r.putBack("a")
	r.putBack("b")
	const want = "change the pattern, or remove b.so, then sync again"
	if note := r.out.notes["a"]; r.out.Refused["a"].Mend != want || note.Mend != want || note.File != "sha256:0123" || !note.Tried || len(r.out.Refused) != 1 {
		t.Errorf("got %+v", r.out)
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
