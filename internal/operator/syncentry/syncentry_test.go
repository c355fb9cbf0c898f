package syncentry

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/operator/syncplan"
)

func TestRead(t *testing.T) {
	dir, creds := t.TempDir(), t.TempDir()
	for _, name := range []string{"registry", "other"} {
		if err := os.WriteFile(filepath.Join(creds, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		text, credentials string
		want              Entry
		err               string
	}{
		{"[Sync]\nRef=registry.example.com/shop:prod\n", "", Entry{Ref: "registry.example.com/shop:prod", Interval: 5 * time.Minute}, ""},
		{"[Sync]\nRef=r/s:p", creds, Entry{Ref: "r/s:p", Interval: 5 * time.Minute, Credentials: filepath.Join(creds, "registry")}, ""},
		{"[Sync]\nRef=r/s:p", dir, Entry{Ref: "r/s:p", Interval: 5 * time.Minute}, ""},
		{"# a comment\n[Sync]\nRef=a\nRef=r/s:p\nCredentials=other\nInterval=1h 30min\nPartial=yes\nCanary=yes\nPlainHTTP=on\nInstance=1", creds,
			Entry{Ref: "r/s:p", Interval: 90 * time.Minute, Credentials: filepath.Join(creds, "other"), Partial: true, Canary: true, PlainHTTP: true, Instance: true}, ""},
		{"[Sync]\nRef=r/s:p\nCredentials=/etc/x.json\nInterval=30\nInterval=\nPartial=yes\nPartial=", creds, Entry{Ref: "r/s:p", Interval: 5 * time.Minute, Credentials: "/etc/x.json"}, ""},
		{"", "", Entry{}, "shop.conf: it has no Ref="},
		{"[Sync]\n", "", Entry{}, "shop.conf: it has no Ref="},
		{"Ref=x", "", Entry{}, "shop.conf:1: "},
		{"[sync]\nRef=x", "", Entry{}, `shop.conf:1: unknown section "sync"; write [Sync]`},
		{"[Sync]\nRef=x y", "", Entry{}, `shop.conf:2: Ref="x y": not a reference`},
		{"[Sync]\nRefs=x", "", Entry{}, `shop.conf:2: unknown key "Refs"; possible are Ref=`},
		{"[Sync]\nRef=x\nInterval=soon", "", Entry{}, `shop.conf:3: Interval="soon": not a time`},
		{"[Sync]\nRef=x\nInterval=200h", "", Entry{}, `shop.conf:3: Interval="200h": longer than a week`},
		{"[Sync]\nRef=x\nPartial=maybe", "", Entry{}, `shop.conf:3: Partial="maybe": not a boolean`},
		{"[Sync]\nRef=x\nCredentials=none", creds, Entry{}, "the service has no credential of that name"},
		{"[Sync]\nRef=x\nCredentials=none", "", Entry{}, "is the name of a credential of a service, and this is none"},
	} {
		t.Setenv("CREDENTIALS_DIRECTORY", tt.credentials)
		if err := os.WriteFile(filepath.Join(dir, "shop.conf"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(dir, "shop")
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %+v, %v", tt.text, got, err)
		}
	}
	for name, want := range map[string]string{"none": "there is no entry", "../shop": "can name no entry"} {
		if _, err := Read(dir, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A thousand machines are spread over the interval: in no tenth of it ask more than a seventh of them.
func TestOffset(t *testing.T) {
	var tenths [10]int
	for i := range 1000 {
		tenths[Offset(fmt.Appendf(nil, "%032x\n", i), "shop", time.Minute)*10/time.Minute]++
	}
	if slices.Max(tenths[:]) > 143 {
		t.Errorf("by tenths there are %v", tenths)
	}
	if (Entry{}).Offset("shop") != 0 {
		t.Error("of no interval there is an offset")
	}
}

// A thousand machines ask a registry that was away for an hour no more at a time than one that was not; and where all
// have booted at once, after a power cut of an hour, within a minute, of which in no second more than a few ask.
func TestNoHerd(t *testing.T) {
	const machines, interval = 1000, 5 * time.Minute
	var tried, agreed [machines]time.Time
	minutes, seconds := make(map[int]int), make(map[int]int)
	begin := time.Unix(1e9, 0)
	away := func(minute int) bool { return minute >= 20 && minute < 80 }
	off := func(minute int) bool { return minute >= 120 && minute < 180 }
	for minute := range 200 {
		if off(minute) {
			continue
		}
		for i := range machines {
			id := fmt.Appendf(nil, "%032x\n", i)
			second := int(Offset(id, "the timer", time.Minute) / time.Second) // RandomizedDelaySec=1min, FixedRandomDelay=yes
			now := begin.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
			if !syncplan.Due(tried[i], now, interval, Offset(id, "shop", interval)) {
				continue
			}
			tried[i] = now
			if !away(minute) {
				agreed[i] = now
			}
			minutes[minute]++
			seconds[minute*60+second]++
		}
		if minute == 85 {
			for i, at := range agreed {
				if at.Before(begin.Add(80 * time.Minute)) {
					t.Errorf("machine %d was last in agreement at %v, five minutes after the registry was there again", i, at)
				}
			}
		}
	}
	for minute, n := range minutes {
		if most := 250; n > most && minute != 0 && minute != 180 || n > machines {
			t.Errorf("in minute %d ask %d machines", minute, n)
		}
	}
	for second, n := range seconds {
		if n > 40 {
			t.Errorf("in second %d ask %d machines", second, n)
		}
	}
	if minutes[180] != machines {
		t.Errorf("after the power cut there ask %d machines at first", minutes[180])
	}
}

// An entry that is given no name has one of its repository.
func TestNameFor(t *testing.T) {
	for ref, want := range map[string]string{
		"registry.example.com/team/shop:prod": "registry.example.com-team-shop", "https://[::1]:5000/shop@sha256:1": "1--5000-shop", "localhost:5000/shop": "localhost-5000-shop",
	} {
		if got := NameFor(ref); got != want {
			t.Errorf("%s: %s", ref, got)
		}
	}
}

// A timer's run is told from an operator's, at once or a day later, by whether that time of the timer was seen; it may begin late.
func TestTriggered(t *testing.T) {
	state, now := t.TempDir(), time.Now()
	if Triggered(state, "shop") {
		t.Error("nobody's run is taken for a timer's")
	}
	t.Setenv("TRIGGER_UNIT", "plugserver-sync@shop.timer")
	for _, ago := range []time.Duration{time.Hour, time.Minute, 0} {
		t.Setenv("TRIGGER_TIMER_REALTIME_USEC", fmt.Sprint(now.Add(-ago).UnixMicro()))
		for i, want := range []bool{true, false, false} {
			if got := Triggered(state, "shop"); got != want {
				t.Errorf("%v ago, run %d: %v", ago, i, got)
			}
			lock, err := synced.LockEntry(filepath.Join(state, "sync"), "shop")
			if err != nil {
				t.Fatal(err)
			}
			lock.Unlock()
		}
	}
	if !Triggered(state, "blog") {
		t.Error("another entry's timer is taken for an operator")
	}
}
