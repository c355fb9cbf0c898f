package canary

import (
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

func TestNames(t *testing.T) {
	for name, of := range map[string]string{"users": "", "users.canary": "users", "a.canary.canary": "a.canary", ".canary": "", "canary": ""} {
		if got := Of(name); got != of {
			t.Errorf("%q is a canary of %q, want %q", name, got, of)
		}
	}
	if Incumbent("users.canary") != "users" || Incumbent("users") != "users" || Name("users") != "users.canary" {
		t.Error("names are wrong")
	}
}

func TestKeys(t *testing.T) {
	span := func(s string) (time.Duration, error) { return time.ParseDuration(s) }
	for _, c := range []struct {
		key, value string
		want       Terms
		wrong      bool
	}{
		{"CanaryWeight", "5%", Terms{Weight: 500}, false},
		{"CanaryWeight", "0.01%", Terms{Weight: 1}, false},
		{"CanaryWeight", "0", Terms{Weight: None}, false},
		{"CanaryWeight", "0%", Terms{Weight: None}, false},
		{"CanaryWeight", "50%", Terms{Weight: 5000}, false},
		{"CanaryWeight", "", Terms{}, false},
		{"CanaryWeight", "50.1%", Terms{}, true},
		{"CanaryWeight", "5", Terms{}, true},
		{"CanaryWeight", "-1%", Terms{}, true},
		{"CanaryWeight", "NaN%", Terms{}, true},
		{"CanaryWeight", "0.001%", Terms{}, true},
		{"CanaryMirror", "yes", Terms{Mirror: link.Whole}, false},
		{"CanaryMirror", "no", Terms{Mirror: None}, false},
		{"CanaryMirror", "Yes", Terms{Mirror: link.Whole}, false},
		{"CanaryMirror", "OFF", Terms{Mirror: None}, false},
		{"CanaryMirror", "10%", Terms{Mirror: 1000}, false},
		{"CanaryMirror", "some", Terms{}, true},
		{"CanarySticky", "ip", Terms{Sticky: link.StickyIP}, false},
		{"CanarySticky", "cookie:id", Terms{Sticky: link.StickyCookie, Field: "id"}, false},
		{"CanarySticky", "header:X-User", Terms{Sticky: link.StickyHeader, Field: "X-User"}, false},
		{"CanarySticky", "none", Terms{Apart: true}, false},
		{"CanarySticky", "cookie", Terms{}, true},
		{"CanarySticky", "ip:x", Terms{}, true},
		{"CanarySticky", "header:a b", Terms{}, true},
		{"CanaryFor", "10m", Terms{For: 10 * time.Minute}, false},
		{"CanaryMinRequests", "7", Terms{MinRequests: 7}, false},
		{"CanaryMinRequests", "0", Terms{}, true},
		{"CanaryMaxSlowdown", "1.5", Terms{MaxSlowdown: 1.5}, false},
		{"CanaryMaxSlowdown", "infinity", Terms{MaxSlowdown: None}, false},
		{"CanaryMaxSlowdown", "0.5", Terms{}, true},
	} {
		var got Terms
		if err := got.Keys(span)[c.key](c.value); got != c.want || (err != nil) != c.wrong {
			t.Errorf("%s=%s: %+v, %v", c.key, c.value, got, err)
		}
		if back, err := Decode(got.Encode()); back != got || err != nil {
			t.Errorf("%+v is read as %+v, %v", got, back, err)
		}
	}
}

// What an operator says goes before the settings, and these before what holds where nothing is set.
func TestInForce(t *testing.T) {
	usual := Terms{Weight: 500, For: 10 * time.Minute, MinRequests: 500, MaxSlowdown: 2}
	for _, c := range []struct{ own, base, want Terms }{
		{Terms{}, Terms{}, usual},
		{Terms{Weight: 1000}, Terms{Weight: 100, MinRequests: 9}, Terms{Weight: 1000, For: 10 * time.Minute, MinRequests: 9, MaxSlowdown: 2}},
		{Terms{Mirror: 1000}, Terms{}, Terms{Mirror: 1000, For: 10 * time.Minute, MinRequests: 500, MaxSlowdown: 2}},
		{Terms{Mirror: None}, Terms{Mirror: 1000}, usual},
		{Terms{Apart: true}, Terms{Sticky: link.StickyCookie, Field: "id"}, Terms{Weight: 500, Apart: true, For: 10 * time.Minute, MinRequests: 500, MaxSlowdown: 2}},
		{Terms{For: None, MaxSlowdown: None}, Terms{}, Terms{Weight: 500, For: None, MinRequests: 500}},
	} {
		if got := c.own.Over(c.base).InForce(); got != c.want {
			t.Errorf("%+v over %+v: %+v, want %+v", c.own, c.base, got, c.want)
		}
	}
	if got := (Terms{Weight: 500, Mirror: 10000, Sticky: link.StickyCookie, Field: "id"}).String(); got != "5 % of the requests, by the cookie id and copies of 100 % of the safe ones" {
		t.Error(got)
	}
}

func TestTells(t *testing.T) {
	judged := api.Canary{
		Of: "users", Incumbent: "0123", Weight: 0.05, Mirror: 0.1, Sticky: "cookie", Field: "id",
		Counted: api.Figures{Requests: 40, Errors: 2, P50: 0.005, P99: 10, Open: 7}, Ends: time.Unix(0, 0), NotServed: []string{"/new", "/x"},
	}
	for want, change := range map[string]func(c *api.Canary){
		"version 4567 has 5 % of the requests, by the cookie id, and copies of 10 % of the safe ones of users, beside version 0123; 40 requests, 2 failed, p50 ≤ 5ms, p99 > 7.5s, 7 open, the incumbent 0 requests; " +
			"it is promoted at 1970-01-01T00:00:00Z, where nothing speaks against it; not served before: /new, /x": func(*api.Canary) {},
		"version 4567 has 0.5 % of the requests, by the client's address, of users, beside version 0123; 0 requests, the incumbent 0 requests; an operator decides": func(c *api.Canary) {
			*c = api.Canary{Of: "users", Incumbent: "0123", Weight: 0.005, Sticky: "ip"}
		},
		"version 4567 has copies of 100 % of the safe ones of users, beside version 0123; 0 requests, the incumbent 0 requests; its time is over, and it awaits more": func(c *api.Canary) {
			*c = api.Canary{Of: "users", Incumbent: "0123", Mirror: 1, Awaits: "more"}
		},
	} {
		c := judged
		change(&c)
		if got := Tells(api.Handler{Version: "4567", Canary: &c}); got != want {
			t.Errorf("\ngot  %s\nwant %s", got, want)
		}
	}
	if got := Tells(api.Handler{Version: "4567"}); got != "version 4567 has a part of the requests" {
		t.Error(got)
	}
}
