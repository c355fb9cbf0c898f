package terminal

import (
	"math"
	"testing"
	"time"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestEscape(t *testing.T) {
	for s, want := range map[string]string{
		"plain {id} é 新": "plain {id} é 新", "a\nb\tc\x1b[2J\x7f": `a\nb\tc\x1b[2J\x7f`, "\u009b\u202e": `\u009b\u202e`,
		"\xef\xbfx\xff": `\xef\xbfx\xff`, "\ufffd": "\ufffd", "\U000e0001": `\U000e0001`, "it's": "it's",
	} {
		if got := Escape(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
	if got, want := EscapeJSON("{\n\"\x7f\u009b\U000e0001\"}"), "{\n\"\\u007f\\u009b\\udb40\\udc01\"}"; got != want {
		t.Errorf("JSON: got %q, want %q", got, want)
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Age(time.Time{}, now), "-"}, {Age(now.Add(time.Hour), now), "0s"}, {Age(now.Add(-59*time.Second), now), "59s"},
		{Age(now.Add(-60*time.Second), now), "1m"}, {Age(now.Add(-119*time.Minute), now), "1h"}, {Age(now.Add(-49*time.Hour), now), "2d"},
		{Count(-1), "0"}, {Count(9_999_999), "9999999"}, {Count(10_000_000), "10.0M"}, {Count(999_960_000), "1.0G"}, {Count(math.MaxInt64), "9.2E"},
		{Size(0), "-"}, {Size(1023), "1023"}, {Size(1024), "1.0k"}, {Size(1023 << 10), "1023.0k"}, {Size(1<<20 - 1), "1.0M"}, {Size(math.MaxInt64), "8.0E"},
		{Spent(0), "-"}, {Spent(math.NaN()), "-"}, {Spent(0.04), "0.0s"}, {Spent(99.94), "99.9s"}, {Spent(99.95), "2m"}, {Spent(5999), "100m"}, {Spent(6000), "1h"}, {Spent(1e12), "277.8Mh"},
		{Of(Some(12), Some(0)), "12"}, {Of(Some(0), Some(64)), "-/64"}, {Of(Size(1<<20), Size(64<<20)), "1.0M/64.0M"}, {Of(Size(0), Size(0)), "-"},
		{PID(0), "-"}, {PID(7), "7"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct{ first, s, want string }{
		{"", "", "\n"},
		{"mend: ", "", "mend:\n"},
		{"", "one two three", "one two\n  three\n"},
		{"mend: ", "one two", "mend: one\n  two\n"},
		{"", "abcdefghijklmnopqrst uv", "abcdefghij\n  klmnopqr\n  st uv\n"},
		{"", "a新新新新新b", "a新新新新\n  新b\n"},
	} {
		if got := Wrap(tt.first, "  ", tt.s, 10); got != tt.want {
			t.Errorf("%q%q: got %q, want %q", tt.first, tt.s, got, tt.want)
		}
	}
}
