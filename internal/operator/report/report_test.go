package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// columns is what the text fits into.
const columns = 100

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// TestCrowded is the table where everything is as wide as it gets.
func TestCrowded(t *testing.T) {
	refusal := &api.Refusal{Reason: "r", Mend: "m", Or: []string{"n", strings.Repeat("o", 120)}}
	st := api.Status{Daemon: api.Daemon{Version: "0.1.0", PID: 123, GatePID: 124, Since: now, Handlers: "/h"}, Handlers: []api.Handler{
		{Name: strings.Repeat("accounting-", 9), State: api.StateStarting, Version: "0123456789ab", PID: 4194304,
			Since: now.AddDate(-300, 0, 0), Requests: math.MaxInt64, InFlight: math.MaxInt64, MemoryBytes: math.MaxInt64,
			Patterns: []string{"GET example.com/accounting/{year}/{month}", "/b", "/c"}, Refusal: refusal, Earlier: true},
		{Name: "новости-за-сегодняшний-день", State: "surprising-state", Version: "0123456789abcdef", PID: math.MaxInt64,
			Patterns: []string{"GET /新闻/今天的新闻"}, Requests: math.MinInt64, InFlight: -1, MemoryBytes: -1},
		{Name: "new\nline\x1b[2J", State: api.StateRetiring, Patterns: []string{"/a", "/b", "/c", "/d"}, Requests: 99_999_999},
	}}
	var b bytes.Buffer
	Status(&b, st, Routes, now, columns)
	want := `
plugserverd 0.1.0, pid 123, gate 124, up 0s, /h

NAME          STATE         VERSION           PID    SINCE  REQUESTS  INFLIGHT  MEMORY  PATTERNS
accounting-…  starting*     0123456789ab  4194304  106751d      9.2E      9.2E    8.0E  GET… +2 more
новости-за-…  surprising-…  0123456789a…  922337…        -         0         0       -  GET /新闻/…
new\nline\x…  retiring      -                   -        -    100.0M         0       -  /a +3 more

* the version shown is an earlier one than that of the newest file

accounting-accounting-accounting-accounting-accounting-accounting-accounting-accounting-accounting-:
  r
  mend: m
    or: n
    or: ` + strings.Repeat("o", 120) + `
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestResources(t *testing.T) {
	st := api.Status{Daemon: api.Daemon{Version: "0.1.0", PID: 123, GatePID: 124, Since: now, Handlers: "/h"}, Handlers: []api.Handler{
		{Name: "bye", State: api.StateLive, PID: 201, Restarts: 3, CPUSeconds: 1.25, Threads: 9, Descriptors: 12, LimitNOFILE: 1024,
			PrivateBytes: 4404019, MemoryMax: 64 << 20, Cell: "plugserver-cell"},
		{Name: "late", State: api.StateSeen, Doing: "building a cell for go1.25.4"},
		{Name: "users", State: api.StateRolledBack, Version: "0123456789ab", PID: 4194304, CPUSeconds: 90000, Threads: 10, Descriptors: 7, PrivateBytes: 900,
			Cell: "go1.25.4-trimpath-0123456789ab\x1b[2J", Group: "accounts", Earlier: true, Refusal: &api.Refusal{Reason: "r"},
			GaveWay: &api.Refusal{Reason: "version 1123456789ab was rolled back", Mend: "m"}},
	}}
	var b bytes.Buffer
	Status(&b, st, Resources, now, columns)
	want := `
plugserverd 0.1.0, pid 123, gate 124, up 0s, /h

NAME   STATE             PID  RESTARTS   CPU  THREADS    FILES     PRIVATE  CELL
bye    live              201         3  1.2s        9  12/1024  4.2M/64.0M  plugserver-cell
late   seen                -         0     -        -        -           -  -
users  rolled back*  4194304         0   25h       10        7         900  group accounts: go1.25.…

* the version shown is an earlier one than that of the newest file

late: building a cell for go1.25.4

users: r

users: version 1123456789ab was rolled back
  mend: m
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

// What holds patterns and does not answer for them is not told to serve them.
func TestDetailsSayWhatIsServed(t *testing.T) {
	for _, tt := range []struct{ state, want string }{
		{api.StateLive, "a serves /a\n"},
		{api.StateRolledBack, "a serves /a\n"},
		{api.StateCanary, "a serves a part of /a\n"},
		{api.StateQuarantined, "a holds /a\na: requests for what it holds are answered 503, since 2026-07-01T12:00:00Z, until a mended file is copied or it is released\n"},
		{api.StateCrashed, "a holds /a\na: requests for what it holds wait while it is started again, and are answered 503 where that takes longer than --hold\n"},
	} {
		var b bytes.Buffer
		Details(&b, []api.Handler{{Name: "a", State: tt.state, Patterns: []string{"/a"}, Since: now}}, 200)
		if got := b.String(); got != "\n"+tt.want {
			t.Errorf("%s: got %q, want %q", tt.state, got, tt.want)
		}
	}
	var b bytes.Buffer
	if Details(&b, []api.Handler{{Name: "a", State: api.StateRefused}}, 200); b.String() != "" {
		t.Errorf("of one that has nothing: %q", &b)
	}
}

// What came from a registry is told, and whether it is as that has it.
func TestSyncs(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	origin := &api.Origin{Sync: "shop", Ref: "registry/shop:prod", Digest: digest, File: "sha256:0123456789abcdef", Agreed: now.Add(-time.Hour)}
	st := api.Status{
		Daemon: api.Daemon{Version: "0.1.0", PID: 123, GatePID: 124, Since: now, Handlers: "/h", Syncs: []api.Sync{
			{Name: "blog", Ref: "registry/blog:prod", Tried: now, Problem: "the registry does not answer\n"},
			{Name: "new", Ref: "registry/new:prod"},
			{Name: "shop", Ref: "registry/shop:prod", Handlers: 2, OK: true, Agreed: now.Add(-time.Hour), Tried: now.Add(-time.Minute)},
			{Name: "wiki", Ref: "registry/wiki:prod", Handlers: 1, Agreed: now.Add(-time.Hour), Tried: now, Refused: map[string]api.Refusal{"b": {Reason: "r2"}, "a": {Reason: "r1"}}},
		}},
		Handlers: []api.Handler{{Name: "users", State: api.StateLive, Version: "0123456789ab", Patterns: []string{"/a"}, Origin: origin}},
	}
	var b bytes.Buffer
	Status(&b, st, Routes, now, 80)
	Details(&b, st.Handlers, 80)
	want := `
plugserverd 0.1.0, pid 123, gate 124, up 0s, /h
sync blog: 0 handlers of registry/blog:prod, not in agreement: the registry does
  not answer\n
sync new: 0 handlers of registry/new:prod, not in agreement
sync shop: 2 handlers of registry/shop:prod, in agreement 1m ago
sync wiki: 1 handler of registry/wiki:prod, not in agreement since 1h ago: a: r1

NAME   STATE  VERSION       PID  SINCE  REQUESTS  MEMORY  PATTERNS
users  live   0123456789ab    -      -         0       -  /a

users serves /a
users came from registry/shop:prod,
  ` + digest + `, as
  version 0123456789ab, by the sync shop, which was last in agreement at
  2026-07-01T11:00:00Z
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
	if o := Origin(&api.Origin{Sync: "s"}); !strings.HasSuffix(o, "by the sync s, which was never in agreement") {
		t.Error(o)
	}
}

func FuzzStatus(f *testing.F) {
	f.Add("users", "GET /users/{id}", "built by go1.25.1", "build it again with go1.26.0", int64(1000), 3)
	f.Add("\x1b[2J\n", "/\u202e\u009b\xff", strings.Repeat("x", 300), strings.Repeat("新", 300), int64(math.MaxInt64), 100)
	f.Fuzz(func(t *testing.T, name, pattern, reason, mend string, n int64, many int) {
		patterns := make([]string, min(max(many, 0), 100))
		for i := range patterns {
			patterns[i] = pattern
		}
		st := api.Status{
			Daemon: api.Daemon{Version: name, PID: int(n), Since: now.Add(time.Duration(n)), Handlers: reason, Problem: mend, Listeners: patterns, Syncs: []api.Sync{{Name: name, Ref: pattern, Problem: reason}, {Refused: map[string]api.Refusal{name: {Reason: mend}}, OK: n > 0}}},
			Handlers: []api.Handler{
				{Name: name, State: pattern, Version: reason, Patterns: patterns, PID: int(n), Since: now.Add(-time.Duration(n)),
					Requests: n, InFlight: n, MemoryBytes: n, PrivateBytes: n, MemoryMax: n, Descriptors: int(n), LimitNOFILE: int(n),
					Threads: int(n), Restarts: int(n), CPUSeconds: float64(n), Cell: mend, Group: name, Doing: reason, Refusal: &api.Refusal{Reason: reason, Mend: mend, Or: []string{mend}}, Origin: &api.Origin{Ref: pattern, Digest: reason, File: mend}},
				{Name: "a", State: api.StateLive, Patterns: []string{"/a"}},
			},
		}
		var b bytes.Buffer
		Status(&b, st, Routes, now, columns)
		Status(&b, st, Resources, now, columns)
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			// A fix is one line, however long: it is there to be pasted.
			if fix := strings.HasPrefix(line, "  mend: ") || strings.HasPrefix(line, "    or: "); terminal.Width(line) > columns && !fix {
				t.Errorf("%d columns: %q", terminal.Width(line), line)
			}
			checkPlain(t, line)
		}
		raw, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		safe := terminal.EscapeJSON(string(raw))
		checkPlain(t, safe)
		var was, is api.Status
		if err := errors.Join(json.Unmarshal(raw, &was), json.Unmarshal([]byte(safe), &is)); err != nil {
			t.Fatal(err)
		}
		if was.Handlers[0].Name != is.Handlers[0].Name || was.Daemon.Problem != is.Daemon.Problem {
			t.Errorf("%q became %q, %q became %q", was.Handlers[0].Name, is.Handlers[0].Name, was.Daemon.Problem, is.Daemon.Problem)
		}
	})
}

// checkPlain fails the test if a terminal could take s for more than text.
func checkPlain(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || 0x7f <= r && r < 0xa0 || 0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
	}) {
		t.Errorf("a terminal may act on %q", s)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		list  []string
		limit int
		want  string
	}{
		{nil, 20, "-"},
		{[]string{"/a", "/b"}, 20, "/a, /b"},
		{[]string{"/a", "/b", "/c"}, 10, "/a, /b, /c"},
		{[]string{"/aaaa", "/bbbb", "/cccc"}, 16, "/aaaa +2 more"},
		{[]string{"/aaaa", "/b", "/cccccccc"}, 16, "/aaaa +2 more"},
		{[]string{"/aaaa", "/b", "/cccccccc"}, 17, "/aaaa, /b +1 more"},
		{[]string{"/aaaaaaaaaaaa"}, 6, "/aaaa…"},
		{[]string{"/aaaaaaaaaaaa", "/b"}, 12, "/aa… +1 more"},
	} {
		got := Patterns(tt.list, tt.limit)
		if got != tt.want || terminal.Width(got) > tt.limit {
			t.Errorf("%q in %d: got %q, want %q", tt.list, tt.limit, got, tt.want)
		}
	}
}

// A table fits into the terminal, and uses it.
func TestWidth(t *testing.T) {
	st := api.Status{Daemon: api.Daemon{Version: "0.1.0", PID: 123, GatePID: 124, Since: now, Handlers: "/var/lib/plugserver/handlers"}}
	for i := range 3 {
		st.Handlers = append(st.Handlers, api.Handler{
			Name: strings.Repeat("accounting-", i+1), State: api.StateRolledBack, Version: "0123456789ab", PID: 4194304 + i, Since: now.AddDate(-1, 0, 0),
			Requests: 12345678, InFlight: 12345, MemoryBytes: 123 << 20, Earlier: true, Refusal: &api.Refusal{Reason: strings.Repeat("because ", 30), Mend: "mend it"},
			Patterns: []string{"GET example.com/accounting/{year}/{month}", "POST example.com/accounting/{year}", "/c"},
		})
	}
	for _, table := range []Table{Routes, Resources} {
		for _, columns := range []int{40, 60, 80, 100, 132, 250} {
			var b bytes.Buffer
			Status(&b, st, table, now, columns)
			widest := 0
			for line := range strings.Lines(b.String()) {
				if !strings.Contains(line, "mend") {
					widest = max(widest, terminal.Width(strings.TrimSuffix(line, "\n")))
				}
			}
			if widest > columns || !strings.Contains(b.String(), "acc") || !strings.Contains(b.String(), "rolled back*") {
				t.Errorf("a terminal of %d columns:\n%s", columns, &b)
			}
			if whole := strings.Contains(b.String(), "GET example.com/accounting/{year}/{month}, POST"); columns == 250 && &table[0] == &Routes[0] && !whole {
				t.Errorf("where there is room patterns are cut:\n%s", &b)
			}
		}
	}
}

// Whoever runs with libraries of before an upgrade is named, with the fix.
func TestReplaced(t *testing.T) {
	var b bytes.Buffer
	Status(&b, api.Status{Handlers: []api.Handler{{Name: "bye", State: api.StateLive}, {Name: "users", State: api.StateLive, Replaced: []string{"libc.so.6", "libssl.so.3"}}}}, Routes, now, columns)
	got := strings.Join(strings.Fields(b.String()), " ")
	if !strings.Contains(got, "users: it runs with libraries that were replaced since: libc.so.6, libssl.so.3") || !strings.Contains(got, "plugserverctl restart users") || strings.Contains(got, "bye: ") {
		t.Errorf("got %s", got)
	}
}
