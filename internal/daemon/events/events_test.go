package events

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/sirupsen/logrus"
)

func newLog(b *Book) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(b)
	return log
}

// Records of events are remembered and counted, and no others.
func TestFire(t *testing.T) {
	var live []time.Duration
	b := New(func(took time.Duration) { live = append(live, took) })
	log := newLog(b)
	_, more := b.Since(0)
	log.Info("nothing")
	log.WithField(event.Field, "live").Info("a handler says so")
	select {
	case <-more:
		t.Error("something has happened")
	default:
	}
	log.WithFields(logrus.Fields{event.Field: event.Live, "handler": "a", After: time.Second, "n": 3}).Info("live: a")
	<-more
	log.WithFields(logrus.Fields{event.Field: event.Crashed, "handler": "\xff", "reason": "why"}).Error("crashed")
	log.WithField(event.Field, event.GateDied).Error("gate died")
	log.WithField(event.Field, event.GateDied).Error("gate died")
	if len(live) != 1 || live[0] != time.Second {
		t.Errorf("live after %v", live)
	}
	want := map[Of]uint64{{event.Live, "a"}: 1, {event.Crashed, "\uFFFD"}: 1, {event.GateDied, ""}: 2}
	if got := b.Counts(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	all, _ := b.Since(0)
	if len(all) != 4 || all[0].Seq != 1 || all[0].Event != "live" || all[0].Level != "info" || all[0].Fields["n"] != "3" || all[1].Fields["reason"] != "why" {
		t.Errorf("%+v", all)
	}
	if rest, more := b.Since(3); len(rest) != 1 || rest[0].Seq != 4 || more == nil {
		t.Errorf("%+v", rest)
	}
	if rest, _ := b.Since(4); len(rest) != 0 {
		t.Errorf("%+v", rest)
	}
}

// Neither what is remembered nor what is counted apart grows without end.
func TestBounds(t *testing.T) {
	b := New(nil)
	log := newLog(b)
	for i := range mostCounts + 5 {
		log.WithFields(logrus.Fields{event.Field: event.Refused, "handler": fmt.Sprint(i)}).Warn("refused")
	}
	all, _ := b.Since(0)
	if len(all) != Kept || all[0].Seq != mostCounts+5-Kept+1 {
		t.Errorf("%d are remembered, from %d on", len(all), all[0].Seq)
	}
	if got := b.Counts(); len(got) != mostCounts+1 || got[Of{event.Refused, Other}] != 5 {
		t.Errorf("%d counts, %d of others", len(got), got[Of{event.Refused, Other}])
	}
}
