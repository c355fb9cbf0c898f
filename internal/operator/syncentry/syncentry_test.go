package syncentry

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
		{"# a comment\n[Sync]\nRef=a\nRef=r/s:p\nCredentials=other\nInterval=1h 30min\nPartial=yes\nCanary=yes\nPlainHTTP=on", creds,
			Entry{Ref: "r/s:p", Interval: 90 * time.Minute, Credentials: filepath.Join(creds, "other"), Partial: true, Canary: true, PlainHTTP: true}, ""},
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
		tenths[offset(fmt.Appendf(nil, "%032x\n", i), "shop", time.Minute)*10/time.Minute]++
	}
	if slices.Max(tenths[:]) > 143 {
		t.Errorf("by tenths there are %v", tenths)
	}
	if (Entry{}).Offset("shop") != 0 {
		t.Error("of no interval there is an offset")
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
