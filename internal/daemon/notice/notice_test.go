package notice

import (
	"fmt"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/sirupsen/logrus"
)

// Operators' filters know these records.
func TestRecords(t *testing.T) {
	h := &lifecycle.Handler{Name: "a", File: "a.so"}
	canary := &lifecycle.Handler{Name: "a.canary", Of: "a"}
	why := &refusal.Error{Reason: "why", Mend: "do this"}
	seat := &states.Seat{Version: store.Version{Sum: "0123456789abcdef"}}
	fields := func(st *states.Seat) logrus.Fields {
		return logrus.Fields{"handler": "a", "pid": 7, "version": st.Version.Short()}
	}
	byHand := *seat
	byHand.Why = states.ByHand
	for _, tt := range []struct {
		got  Record
		want string
	}{
		{Of(h, lifecycle.Tell{What: states.NoticeRefused, Refusal: why}, fields), "warning refused: a.so map[event:refused handler:a mend:do this reason:why]"},
		{Of(h, lifecycle.Tell{What: states.NoticeRefused, Refusal: why, Seat: seat}, fields), "warning refused: a.so; version 0123456789ab goes on serving map[event:refused handler:a mend:do this reason:why]"},
		{Of(h, lifecycle.Tell{What: states.NoticeHeld, Refusal: why}, fields), "info rolled back: a.so map[handler:a mend:do this reason:why]"},
		{Of(h, lifecycle.Tell{What: states.NoticeQuarantined, Refusal: why, Version: seat.Version}, fields), "error quarantined: a map[event:quarantined handler:a mend:do this reason:why version:0123456789ab]"},
		{Of(h, lifecycle.Tell{What: states.NoticeNotRestarted, Refusal: why, Seat: seat}, fields), "error restart failed: a map[handler:a pid:7 reason:why version:0123456789ab]"},
		{Of(h, lifecycle.Tell{What: states.NoticeNotServed, Refusal: why, Seat: seat}, fields), "warning an earlier version is not served: a map[handler:a pid:7 reason:why version:0123456789ab]"},
		{Of(h, lifecycle.Tell{What: states.NoticeGone}, fields), "info gone: a.so was removed map[handler:a]"},
		{Of(h, lifecycle.Tell{What: states.NoticeDoing, Text: "compiling a.go"}, fields), "info compiling a.go map[handler:a]"},
		{Of(canary, lifecycle.Tell{What: states.NoticeWithdrawn, Refusal: why, Version: seat.Version, Text: "2 of 3 failed"}, fields), "error withdrawn: a.canary: 2 of 3 failed map[event:canary_withdrawn handler:a.canary mend:do this reason:why version:0123456789ab]"},
		{Of(&lifecycle.Handler{Name: "a.canary", Of: "a", File: "a.canary.so"}, lifecycle.Tell{What: states.NoticeHeld, Refusal: why}, fields), "info withdrawn: a.canary.so map[handler:a.canary mend:do this reason:why]"},
		{Of(canary, lifecycle.Tell{What: states.NoticeWithdrawnByHand, Refusal: why, Version: seat.Version, Text: "an operator has said so"}, fields), "info withdrawn: a.canary: an operator has said so map[event:canary_withdrawn handler:a.canary mend:do this reason:why version:0123456789ab]"},
		{Of(canary, lifecycle.Tell{What: states.NoticePromoted, Refusal: why, Version: seat.Version, Text: "0 of 3 failed"}, fields), "info promoted: a.canary is a from now on map[event:canary_promoted handler:a.canary mend:do this reason:0 of 3 failed version:0123456789ab]"},
		{Of(h, lifecycle.Tell{What: states.NoticeSuperseded, Refusal: why}, fields), "info not served, for a canary was promoted: a.so map[handler:a mend:do this reason:why]"},
		{Change(states.WentLive, "a", "a", seat), "info live: a map[event:live]"},
		{Change(states.LiveAgain, "a", "a", seat), "info live again: a map[event:live]"},
		{Change(states.RolledBack, "a", "a", seat), "error rolled back: a map[event:rolled_back]"},
		{Change(states.RolledBack, "a", "a", &byHand), "info rolled back: a map[event:rolled_back]"},
		{Change(states.GatheredIn, "a", "g", seat), "info in the shared cell g: a map[event:gathered]"},
		{Change(states.Retired, "a", "a", seat), "info retired: a map[event:retired]"},
	} {
		if got := fmt.Sprintf("%v %s %v", tt.got.Level, tt.got.Text, tt.got.Fields); got != tt.want {
			t.Errorf("\ngot  %s\nwant %s", got, tt.want)
		}
	}
}
