// Package notice words what operators are told in the log of handlers: the level,
// the fields and the text of each record. It is pure.
package notice

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/daemon/lifecycle"
	"github.com/andrestc/go-plugserver/internal/daemon/states"
	"github.com/sirupsen/logrus"
)

// Record is one of the log.
type Record struct {
	Level  logrus.Level
	Fields logrus.Fields
	Text   string
}

// Log writes it.
func (r Record) Log(log *logrus.Logger) { log.WithFields(r.Fields).Log(r.Level, r.Text) }

// Of is what a handler has to say. The fields of the seat that it is about, if it is
// about one that has had a process, are put beside its own.
func Of(h *lifecycle.Handler, t lifecycle.Tell, seat func(*states.Seat) logrus.Fields) Record {
	r := Record{logrus.InfoLevel, logrus.Fields{}, ""}
	switch t.What {
	case states.NoticeNotRestarted, states.NoticeNotServed:
		r.Fields = seat(t.Seat)
	default:
		if t.Refusal != nil {
			r.Fields["mend"] = t.Refusal.Mends()
		}
	}
	r.Fields["handler"] = h.Name
	if t.Refusal != nil {
		r.Fields["reason"] = t.Refusal.Reason
	}
	switch t.What {
	case states.NoticeRefused:
		r.Fields[event.Field] = event.Refused
		r.Level, r.Text = logrus.WarnLevel, "refused: "+h.File
		if t.Seat != nil {
			r.Text += "; version " + t.Seat.Version.Short() + " goes on serving"
		}
	case states.NoticeHeld:
		if r.Text = "rolled back: " + h.File; h.Of != "" {
			r.Text = "withdrawn: " + h.File
		}
	case states.NoticeQuarantined:
		r.Fields[event.Field], r.Fields["version"] = event.Quarantined, t.Version.Short()
		r.Level, r.Text = logrus.ErrorLevel, "quarantined: "+h.Name
	case states.NoticeNotRestarted:
		r.Level, r.Text = logrus.ErrorLevel, "restart failed: "+h.Name
	case states.NoticeNotServed:
		r.Level, r.Text = logrus.WarnLevel, "an earlier version is not served: "+h.Name
	case states.NoticeGone:
		r.Text = "gone: " + h.File + " was removed"
	case states.NoticeWithdrawn:
		r.Fields[event.Field], r.Fields["version"] = event.CanaryWithdrawn, t.Version.Short()
		r.Level, r.Text = logrus.ErrorLevel, "withdrawn: "+h.Name+": "+t.Text
	case states.NoticeWithdrawnByHand:
		r.Fields[event.Field], r.Fields["version"] = event.CanaryWithdrawn, t.Version.Short()
		r.Text = "withdrawn: " + h.Name + ": " + t.Text
	case states.NoticePromoted:
		r.Fields[event.Field], r.Fields["version"], r.Fields["reason"] = event.CanaryPromoted, t.Version.Short(), t.Text
		r.Text = "promoted: " + h.Name + " is " + h.Of + " from now on"
	case states.NoticeSuperseded:
		r.Text = "not served, for a canary was promoted: " + h.File
	case states.NoticeDoing:
		r.Text = t.Text
	default:
		panic(fmt.Sprintf("notice: unknown notice %d", t.What))
	}
	return r
}

// Change is that a change of the routes is in force. The seat is the handler's, and
// the cell's name is its own, or its group's.
func Change(what states.Change, handler, cell string, seat *states.Seat) Record {
	of := func(e event.Event, level logrus.Level, text string) Record {
		return Record{level, logrus.Fields{event.Field: e}, text + ": " + handler}
	}
	switch what {
	case states.WentLive:
		return of(event.Live, logrus.InfoLevel, "live")
	case states.LiveAgain:
		return of(event.Live, logrus.InfoLevel, "live again")
	case states.RolledBack:
		level := logrus.ErrorLevel // somebody has to fix the release
		if seat.Why == states.ByHand {
			level = logrus.InfoLevel
		}
		return of(event.RolledBack, level, "rolled back")
	case states.GatheredIn:
		return of(event.Gathered, logrus.InfoLevel, "in the shared cell "+cell)
	case states.Retired:
		return of(event.Retired, logrus.InfoLevel, "retired")
	}
	panic(fmt.Sprintf("notice: unknown change %d", what))
}
