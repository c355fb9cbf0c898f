package settings

import (
	"flag"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseMemory(t *testing.T) {
	for _, tt := range []struct {
		s    string
		want int64 // 0 is an error
		err  string
	}{
		{"infinity", Infinity, ""},
		{"16777216", 16 << 20, ""},
		{"16384K", 16 << 20, ""},
		{"16M", 16 << 20, ""},
		{"016M", 16 << 20, ""},
		{"3G", 3 << 30, ""},
		{"2T", 2 << 40, ""},
		{"9223372036854775807", math.MaxInt64, ""},
		{"8388607T", 8388607 << 40, ""},

		{"16777215", 0, "too little"},
		{"16383K", 0, "too little"},
		{"15M", 0, "too little"},
		{"0", 0, "too little"},
		{"0T", 0, "too little"},
		{"9223372036854775808", 0, "more than there can be"},
		{"99999999999999999999999M", 0, "more than there can be"},
		{"8388608T", 0, "more than there can be"},
		{"9007199254740992K", 0, "more than there can be"},
		{"", 0, "not a size"},
		{"M", 0, "not a size"},
		{"Infinity", 0, "not a size"},
		{"64m", 0, "not a size"},
		{"64MB", 0, "not a size"},
		{"64MM", 0, "not a size"},
		{"64 M", 0, "not a size"},
		{"6_4M", 0, "not a size"},
		{"1.5G", 0, "not a size"},
		{"50%", 0, "not a size"},
		{"-1", 0, "not a size"},
		{"+64M", 0, "not a size"},
		{"0x1000000", 0, "not a size"},
		{"٦٤M", 0, "not a size"},
	} {
		got, err := ParseMemory(tt.s)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseMemory(%q) = %d, %v; want %d, %q", tt.s, got, err, tt.want, tt.err)
		}
	}
}

func TestParseNOFILE(t *testing.T) {
	for _, tt := range []struct {
		s    string
		want int // 0 is an error
		err  string
	}{
		{"infinity", Infinity, ""},
		{"64", 64, ""},
		{"524288", 524288, ""},
		{"2147483647", math.MaxInt32, ""},

		{"63", 0, "too few"},
		{"0", 0, "too few"},
		{"2147483648", 0, "more than there can be"},
		{"99999999999999999999", 0, "more than there can be"},
		{"", 0, "not a number"},
		{"-1", 0, "not a number"},
		{"1K", 0, "not a number"},
		{"1024:4096", 0, "not a number"},
		{"1e3", 0, "not a number"},
	} {
		got, err := ParseNOFILE(tt.s)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseNOFILE(%q) = %d, %v; want %d, %q", tt.s, got, err, tt.want, tt.err)
		}
	}
}

// What a parser says reads well behind the words of package flag.
func TestParsersServeFlags(t *testing.T) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Func("memory-max", "", func(s string) error { _, err := ParseMemory(s); return err })
	const want = `invalid value "1M" for flag -memory-max: too little for a handler to run; the least is 16M`
	if err := fs.Parse([]string{"--memory-max=1M"}); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestParseLogRate(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"5": 5 * time.Second, "30s": 30 * time.Second, "1min 30s": 90 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond,
		"2 hours": 2 * time.Hour, "0": Infinity, "0s": Infinity, "24h": 24 * time.Hour,
	} {
		if got, err := parseInterval(in); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "often", "5x", "1.5s", "25h", "999999999h", "1h 24h", " 5", "infinity"} {
		if got, err := parseInterval(in); err == nil || !strings.Contains(err.Error(), "; write ") {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for in, want := range map[string]int{"1": 1, "10000": 10000, "0": Infinity} {
		if got, err := parseBurst(in); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "-1", "many", "1e3", "99999999999"} {
		if got, err := parseBurst(in); err == nil || !strings.Contains(err.Error(), "; write ") {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

func TestParseBounds(t *testing.T) {
	for _, tt := range []struct {
		key, value string
		fault      string
	}{
		{"MaxInFlight", "infinity", ""},
		{"MaxInFlight", "1", ""},
		{"MaxInFlight", "0", "not a number of requests"},
		{"MaxInFlight", "many", "not a number of requests"},
		{"MaxInFlight", "99999999999", "more than there can be"},
		{"MaxBodyBytes", "1", ""},
		{"MaxBodyBytes", "infinity", ""},
		{"MaxBodyBytes", "0", "the least is 1"},
		{"MaxBodyBytes", "1MB", "not a size"},
		{"RequestTimeout", "30", ""},
		{"RequestTimeout", "infinity", ""},
		{"RequestTimeout", "0", "not a time above 0"},
		{"RequestTimeout", "soon", "not a time above 0"},
		{"DrainTimeout", "5min", ""},
		{"Disabled", "Off", ""},
		{"Disabled", "maybe", "not a boolean"},
		{"DrainTimeout", "2days", "not a time above 0"},
	} {
		errs := blank().apply("F", "[Handler a]\n"+tt.key+"="+tt.value)
		if (len(errs) > 0) != (tt.fault != "") || len(errs) > 0 && !strings.Contains(errs[0].Error(), tt.fault) {
			t.Errorf("%s=%s: %v, want %q", tt.key, tt.value, errs, tt.fault)
		}
	}
}
