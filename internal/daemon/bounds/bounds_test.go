package bounds

import (
	"strings"
	"testing"
)

func TestParseQuotaAndTasks(t *testing.T) {
	for _, tt := range []struct {
		s    string
		want int // 0 is an error
		err  string
	}{
		{"50%", 5000, ""},
		{"1%", 100, ""},
		{"12.5%", 1250, ""},
		{"12.05%", 1205, ""},
		{"250%", 25000, ""},
		{"0.99%", 0, "the least is 1%"},
		{"0%", 0, "the least is 1%"},
		{"999999999%", 0, "more than there can be"},
		{"50", 0, "write one such as 50%"},
		{"-1%", 0, "write one such as 50%"},
		{"1.234%", 0, "write one such as 50%"},
		{"infinity", 0, "write one such as 50%"},
		{"", 0, "write one such as 50%"},
	} {
		got, err := parseQuota(tt.s)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("parseQuota(%q) = %d, %v; want %d, %q", tt.s, got, err, tt.want, tt.err)
		}
	}
	for _, tt := range []struct {
		s    string
		want Tasks
		of   int // where the service may have 1000
		err  string
	}{
		{"64", Tasks{N: 64}, 64, ""},
		{"infinity", Tasks{N: infinity}, 0, ""},
		{"10%", Tasks{Part: 1000}, 100, ""},
		{"12.5%", Tasks{Part: 1250}, 125, ""},
		{"100%", Tasks{Part: 10000}, 1000, ""},
		{"1%", Tasks{Part: 100}, minTasks, ""},
		{"101%", Tasks{}, 0, "to 100%"},
		{"0%", Tasks{}, 0, "to 100%"},
		{"15", Tasks{}, 0, "the least is 16"},
		{"2147483648", Tasks{}, 0, "more than there can be"},
		{"many", Tasks{}, 0, "not a number of processes and threads"},
		{"", Tasks{}, 0, "not a number of processes and threads"},
	} {
		got, err := parseTasks(tt.s)
		if got != tt.want || got.Of(1000) != tt.of || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("parseTasks(%q) = %+v, %v; want %+v, %q", tt.s, got, err, tt.want, tt.err)
		}
	}
}

// What is refused changes nothing, and an empty value unsets.
func TestKeys(t *testing.T) {
	var b Bounds
	keys := b.Keys()
	for _, tt := range []struct {
		key, value string
		want       Bounds
		refused    bool
	}{
		{"CPUQuota", "50%", Bounds{CPUQuota: 5000}, false},
		{"TasksMax", "64", Bounds{5000, Tasks{N: 64}}, false},
		{"CPUQuota", "much", Bounds{5000, Tasks{N: 64}}, true},
		{"TasksMax", "1", Bounds{5000, Tasks{N: 64}}, true},
		{"CPUQuota", "", Bounds{0, Tasks{N: 64}}, false},
		{"TasksMax", "", Bounds{}, false},
	} {
		if err := keys[tt.key](tt.value); b != tt.want || (err != nil) != tt.refused {
			t.Errorf("%s=%s: %+v, %v", tt.key, tt.value, b, err)
		}
	}
}
