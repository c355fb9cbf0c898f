package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/past"
	"github.com/andrestc/go-plugserver/internal/daemon/roster"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
)

// An owner does as it is told, and no more; its goroutine is the test's.
type owner struct {
	*Desk
	roster     *roster.Roster
	told       []string
	looks      int
	recalled   intake.Recalled
	reconciled bool
}

const older, newer = "0000000000000000", "1111111111111111"

// newOwner has one handler, with two versions, of which the newer serves.
func newOwner() *owner {
	settings := func(string) cells.Settings { return cells.Settings{} }
	h := &lifecycle.Handler{
		Name: "a", Standing: states.Serving, Tried: handlerdir.ID{Ino: 1}, Live: &states.Seat{Version: store.Version{Sum: newer}},
		Past: past.Past{Record: store.Record{Versions: []store.Served{{Sum: older}, {Sum: newer}}}},
	}
	o := &owner{roster: roster.New(store.History{}, roster.Rules{}), reconciled: true}
	o.roster.Handlers["a"] = h
	o.Desk = New(Owner{
		Ask:    func(_ context.Context, question func()) error { question(); return nil },
		View:   &standing.View{Roster: o.roster, Cells: cells.New(cells.Config{Settings: settings}, cells.Owner{}), Settings: settings},
		Look:   func() { o.looks++; o.roster.Looks.Begin(true) },
		Tell:   o.tell,
		Recall: func(_ *lifecycle.Handler, _ string, done func(intake.Recalled)) { done(o.recalled) },

		InForce: func() bool { return true }, Reconciled: func() bool { return o.reconciled },
	})
	return o
}

func (o *owner) tell(h *lifecycle.Handler, e lifecycle.Event) {
	o.told = append(o.told, strings.TrimPrefix(fmt.Sprintf("%T", e), "lifecycle."))
	if r, ok := e.(lifecycle.RollBack); ok {
		h.Next = &states.Seat{Version: r.Version}
	}
}

// answer is what a call has answered, nil before it has.
func answer[T any](call func() (T, error)) func() (*T, error) {
	var value *T
	var failed error
	go func() {
		v, err := call()
		value, failed = &v, err
	}()
	synctest.Wait()
	return func() (*T, error) { synctest.Wait(); return value, failed }
}

// A reload is answered by a look that has begun after it, once all is reconciled.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		first, _, _ := o.roster.Looks.Begin(true)
		got := answer(func() (api.Reload, error) { return o.Reload(t.Context()) })
		still := func(why string) {
			t.Helper()
			o.Turn()
			if re, _ := got(); re != nil {
				t.Errorf("%s: it is answered", why)
			}
		}
		still("a look of before is under way")
		o.roster.Looks.Ended(first, true, false)
		still("that has ended")
		second, _, _ := o.roster.Looks.Begin(true)
		o.reconciled = false
		o.roster.Looks.Ended(second, true, false)
		still("something is under way")
		o.reconciled = true
		o.Turn()
		if re, err := got(); re == nil || err != nil || re.Live != 1 || len(o.waiters) != 0 {
			t.Errorf("got %+v, %v, %d wait", re, err, len(o.waiters))
		}
	})
}

// Whoever has gone does not wait any more.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		ctx, leave := context.WithCancel(context.Background())
		got := answer(func() (api.Reload, error) { return o.Reload(ctx) })
		leave()
		if re, err := got(); re == nil || !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v, %v", re, err)
		}
		if o.Turn(); len(o.waiters) != 0 {
			t.Error("it still waits")
		}
	})
}

// An overview asks no process, and has the versions of each, the newest first.
func TestOverview(t *testing.T) {
	o := newOwner()
	o.roster.Handlers["b"] = &lifecycle.Handler{Name: "b"}
	st, versions, err := o.Overview(t.Context())
	if err != nil || len(st.Handlers) != 2 || st.Handlers[0].Name != "a" || st.Handlers[0].State != api.StateLive {
		t.Errorf("got %+v, %v", st, err)
	}
	if a := versions["a"]; len(a) != 2 || !a[0].Current || a[1].Current || len(versions["b"]) != 0 {
		t.Errorf("versions %+v", versions)
	}
}

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		if re, err := o.Release(t.Context(), "a"); err != nil || !re.Nothing || len(o.told) != 0 {
			t.Errorf("nothing to release: %+v, %v, told %v", re, err, o.told)
		}
		if _, err := o.Release(t.Context(), "b"); err == nil {
			t.Error("there is no such handler")
		}
		o.roster.Handlers["a"].Refusal = &states.Refusal{Error: &refusal.Error{Reason: "why"}}
		got := answer(func() (api.Reload, error) { return o.Release(t.Context(), "a") })
		o.roster.Looks.Ended(1, true, false)
		o.Turn()
		if re, err := got(); re == nil || err != nil || re.Nothing || fmt.Sprint(o.told) != "[Release]" || o.looks != 1 {
			t.Errorf("got %+v, %v, told %v", re, err, o.told)
		}
	})
}

// A roll-back is answered once the version serves, or another does.
func TestRollback(t *testing.T) {
	found := intake.Recalled{Version: store.Version{Sum: older}}
	for _, tt := range []struct {
		name     string
		handler  string
		version  string
		recalled intake.Recalled
		serves   string // in the end
		told     string
		failed   string
	}{
		{"the one before", "a", "", found, older, "[RollBack Hold]", ""},
		{"by its name", "a", "00", found, older, "[RollBack Hold]", ""},
		{"it does not become live", "a", "", found, newer, "[RollBack]", "did not become live"},
		{"it serves already", "a", "11", found, newer, "[]", "serves already"},
		{"no such version", "a", "22", found, newer, "[]", "there is no version"},
		{"no such handler", "b", "", found, newer, "[]", "there is no handler"},
		{"it is lost", "a", "", intake.Recalled{Lost: []error{errors.New("it is damaged")}}, newer, "[]", "it is damaged"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOwner()
			o.recalled = tt.recalled
			h := o.roster.Handlers["a"]
			got := answer(func() (api.Outcome, error) { return o.Rollback(t.Context(), tt.handler, tt.version) })
			if o.Turn(); h.Next != nil {
				if out, _ := got(); out != nil {
					t.Errorf("%s: answered too early", tt.name)
				}
				h.Next, h.Live = nil, &states.Seat{Version: store.Version{Sum: tt.serves}}
				o.Turn()
			}
			out, err := got()
			if out == nil || fmt.Sprint(o.told) != tt.told || (err == nil) != (tt.failed == "") || err != nil && !strings.Contains(err.Error(), tt.failed) {
				t.Errorf("%s: %+v, %v, told %v", tt.name, out, err, o.told)
			}
		})
	}
}

// A restart is answered once a new process serves, or has failed.
func TestRestart(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler string
		serves  bool // the new one does
		failed  string
	}{
		{"well", "a", true, ""},
		{"it does not become ready", "a", false, "did not become ready, and the one before goes on: why"},
		{"no such handler", "b", false, "there is no handler"},
		{"it does not serve", "dead", false, "does not serve"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOwner()
			o.roster.Handlers["dead"] = &lifecycle.Handler{Name: "dead", Standing: states.Quarantined}
			h := o.roster.Handlers["a"]
			got := answer(func() (api.Outcome, error) { return o.Restart(t.Context(), tt.handler) })
			if len(o.told) > 0 {
				h.Next = &states.Seat{Version: store.Version{Sum: newer}}
				if o.Turn(); len(o.waiters) != 1 {
					t.Error("answered too early")
				}
				if h.Failure = "why"; tt.serves {
					h.Live = h.Next
				}
				h.Next = nil
				o.Turn()
			}
			if out, err := got(); out == nil || (err == nil) != (tt.failed == "") || err != nil && !strings.Contains(err.Error(), tt.failed) {
				t.Errorf("%s: %+v, %v, told %v", tt.name, out, err, o.told)
			}
		})
	}
}

// Settle waits for one handler, whatever becomes of others.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		h := o.roster.Handlers["a"]
		o.roster.Handlers["b"] = &lifecycle.Handler{Name: "b", Admission: states.Building}
		got := answer(func() (api.Outcome, error) { return o.Settle(t.Context(), "a") })
		h.Admission = states.Copying
		o.roster.Looks.Ended(1, true, false)
		if o.Turn(); len(o.waiters) != 1 {
			t.Error("it is being admitted")
		}
		h.Admission = states.Idle
		o.Turn()
		if out, err := got(); out == nil || err != nil || out.Handler.State != api.StateLive {
			t.Errorf("got %+v, %v", out, err)
		}
	})
}
