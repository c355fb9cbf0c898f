package standing

import (
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/daemon/terms"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// However a handler stands, all who are told are told the same.
func TestStanding(t *testing.T) {
	const older, newer = "0000000000000000", "1111111111111111"
	seatOf := func(sum string) *states.Seat {
		return &states.Seat{Version: store.Version{Sum: sum}}
	}
	because := func(of string, held bool) *states.Refusal {
		return &states.Refusal{Error: &refusal.Error{Reason: "why"}, Of: of, Held: held}
	}
	type told struct {
		state   string
		earlier bool // status has a star and its footnote
		live    int  // of a reload
		refused bool // a reload exits 1
		gaveWay bool // status has a second reason
		current bool // the history says that its newest version serves
		systemd string
	}
	for name, tt := range map[string]struct {
		h    *lifecycle.Handler
		held string
		bad  string
		want told
	}{
		"live":                 {h: &lifecycle.Handler{Standing: states.Serving, Live: seatOf(newer)}, want: told{state: api.StateLive, live: 1, current: true, systemd: "1 handler live"}},
		"newest refused":       {h: &lifecycle.Handler{Standing: states.Serving, Live: seatOf(older), Refusal: because("", false)}, want: told{state: api.StateLive, earlier: true, live: 1, refused: true, systemd: "1 handler live, 1 refused"}},
		"crashed":              {h: &lifecycle.Handler{Standing: states.Dead, Live: seatOf(newer)}, want: told{state: api.StateCrashed, systemd: "0 handlers live, 1 crashed"}},
		"rolled back":          {h: &lifecycle.Handler{Standing: states.Serving, Live: seatOf(older), RolledBack: true, Refusal: because(newer, false)}, bad: newer, want: told{state: api.StateRolledBack, earlier: true, live: 1, refused: true, systemd: "1 handler live, 1 rolled back"}},
		"rolled back by hand":  {h: &lifecycle.Handler{Standing: states.Serving, Live: seatOf(older), RolledBack: true, Refusal: because(newer, true)}, held: newer, want: told{state: api.StateRolledBack, earlier: true, live: 1, systemd: "1 handler live, 1 rolled back"}},
		"a newer file refused": {h: &lifecycle.Handler{Standing: states.Serving, Live: seatOf(older), RolledBack: true, Refusal: because("", false)}, held: newer, want: told{state: api.StateRolledBack, earlier: true, live: 1, refused: true, gaveWay: true, systemd: "1 handler live, 1 rolled back, 1 refused"}},
		"that after a restart": {h: &lifecycle.Handler{Standing: states.Serving, Live: seatOf(older), Refusal: because("", false)}, held: newer, want: told{state: api.StateRolledBack, earlier: true, live: 1, refused: true, gaveWay: true, systemd: "1 handler live, 1 rolled back, 1 refused"}},
		"quarantined":          {h: &lifecycle.Handler{Standing: states.Quarantined, Live: seatOf(newer), Refusal: because(newer, false)}, bad: newer, want: told{state: api.StateQuarantined, refused: true, systemd: "0 handlers live, 1 quarantined"}},
		"refused":              {h: &lifecycle.Handler{Refusal: because("", false)}, want: told{state: api.StateRefused, refused: true, systemd: "0 handlers live, 1 refused"}},
		"refused at start":     {h: &lifecycle.Handler{Refusal: because(newer, false)}, bad: newer, want: told{state: api.StateRefused, refused: true, systemd: "0 handlers live, 1 refused"}},
	} {
		tt.h.Name, tt.h.Tried.Ino = "a", 1
		tt.h.Record = store.Record{Held: tt.held, Bad: []string{tt.bad}, Versions: []store.Served{{Sum: older}, {Sum: newer}}}
		h := tt.h
		none := func(string) cells.Settings { return cells.Settings{} }
		v := &View{
			Roster: roster.New(store.History{}, roster.Rules{}),
			Cells:  cells.New(cells.Config{Settings: none}, cells.Owner{}), Settings: none,
		}
		v.Roster.Handlers["a"] = h
		v.Note(h)
		status := v.Handler(h)
		re := v.Reload()
		_, refused := re.Refused["a"]
		past := Past(h)[0]
		got := told{
			state: status.State, earlier: status.Earlier, live: re.Live, refused: refused, gaveWay: status.GaveWay != nil,
			current: past.Current, systemd: v.Report().String(),
		}
		if got != tt.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, tt.want)
		}
		if _, told := re.RolledBack["a"]; told != (tt.held != "") || past.Held != told || past.Bad != (tt.bad != "") {
			t.Errorf("%s: reload %+v, history %+v", name, re, past)
		}
	}
}

// What serves on though it would not be started any more is told of, until it is signed anew: the version is the
// same then, and so is its seat.
func TestServesOnUntilSigned(t *testing.T) {
	none := func(string) cells.Settings { return cells.Settings{} }
	v := &View{
		Roster: roster.New(store.History{}, roster.Rules{}),
		Cells:  cells.New(cells.Config{Settings: none}, cells.Owner{}), Settings: none,
	}
	h := &lifecycle.Handler{Name: "a", Standing: states.Serving, Live: &states.Seat{Version: store.Version{Sum: "1"}}}
	v.Roster.Handlers["a"] = h
	v.Trust(signature.Policy{Require: true})
	if got := v.Problem(); !strings.HasPrefix(got, "version 1 of a goes on serving, and would not be started again: not signed") {
		t.Errorf("the problem is %q", got)
	}
	h.Live.Version.Signature = "of somebody who is trusted"
	if got := v.Problem(); got != "" {
		t.Errorf("once it is signed the problem is %q", got)
	}
}

// Settings of a handler that there is not are no error: it may come. They may be
// a slip, too.
func TestNotes(t *testing.T) {
	v := &View{
		Roster: &roster.Roster{Snapshot: &handlerdir.Snapshot{}, Handlers: map[string]*lifecycle.Handler{"users": {Name: "users"}}},
		Named:  map[string]string{"users": "F:1", "userss": "F:4", "later": "F.d/a.conf:1"},
		Settings: func(string) terms.Terms {
			return terms.Terms{Unheeded: []terms.Unheeded{{Key: "TasksMax", Why: "nobody counts"}}}
		},
	}
	want := []string{"F.d/a.conf:1: [Handler later]: there is no such handler", "F:4: [Handler userss]: there is no such handler; did you mean users?",
		"TasksMax= of users is not in force: nobody counts"}
	if got := v.Notes(); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	v.Named, v.Daemon.Unconfined = nil, []string{"signals"}
	if got := v.Notes(); len(got) != 1 || !strings.HasSuffix(got[0], "not confined are signals") {
		t.Errorf("of an old kernel: %q", got)
	}
	if v.Roster.Snapshot = nil; v.Notes() != nil {
		t.Error("before the first look it knows which handlers there are")
	}
}
