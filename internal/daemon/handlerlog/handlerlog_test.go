package handlerlog

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/sirupsen/logrus"
)

func newLog(r Rate) (*Log, *strings.Builder) {
	var b strings.Builder
	log := logrus.New()
	log.SetOutput(&b)
	log.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true})
	log.SetLevel(logrus.DebugLevel)
	return New(log, "a", func(plugin string) logrus.Fields { return logrus.Fields{"handler": plugin, "pid": 7} }, r), &b
}

// A handler says what it likes, but not in the daemon's name.
func TestRecord(t *testing.T) {
	for _, tt := range []struct {
		m    link.Message
		want string
	}{
		{link.Message{Name: "a", Level: "info", Text: "hello", Fields: map[string]string{"k": "v"}}, "level=info msg=hello handler=a k=v pid=7 stream=log\n"},
		{link.Message{Name: "a", Level: "debug", Text: "hello"}, "level=debug msg=hello handler=a pid=7 stream=log\n"},
		{link.Message{Name: "a", Level: "panic", Text: "hello"}, "level=error msg=hello handler=a pid=7 stream=log\n"},
		{link.Message{Name: "a", Level: "no such", Text: "hello"}, "level=error msg=hello handler=a pid=7 stream=log\n"},
		{link.Message{Name: "a", Level: "info", Text: "hello", Fields: map[string]string{"event": "crashed", "pid": "1", "handler": "b", "reason": "r"}},
			"level=info msg=hello attr_event=crashed attr_handler=b attr_pid=1 attr_reason=r handler=a pid=7 stream=log\n"},
	} {
		l, out := newLog(Rate{})
		if l.Record(tt.m); out.String() != tt.want {
			t.Errorf("got  %swant %s", out, tt.want)
		}
	}
	l, out := newLog(Rate{})
	l.Printed("stdout", "one")
	l.Printed("stderr", "two")
	if want := "level=info msg=one handler=a stream=stdout\nlevel=warning msg=two handler=a stream=stderr\n"; out.String() != want {
		t.Errorf("got  %swant %s", out, want)
	}
}

// What is dropped is told of and counted, also what a cell drops itself.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, out := newLog(Rate{Burst: 2, Interval: time.Second})
		for i := range 5 {
			l.Printed("stdout", fmt.Sprint("line ", i))
		}
		if got := out.String(); strings.Count(got, "line ") != 2 || strings.Count(got, "are dropped from here on") != 1 || l.Dropped() != 3 {
			t.Errorf("%d dropped:\n%s", l.Dropped(), got)
		}
		l.TellDropped()
		l.TellDropped()
		l.Unsent(4)
		l.Unsent(4)
		if got := out.String(); strings.Count(got, "lost=3") != 1 || strings.Count(got, "lost=4") != 1 || l.Dropped() != 7 {
			t.Errorf("%d dropped:\n%s", l.Dropped(), got)
		}
		l.Bound(Rate{Burst: -1})
		for range 100 {
			l.Printed("stdout", "more")
		}
		if strings.Count(out.String(), "more") != 100+1 { // a hint says "for more"
			t.Errorf("it is still bounded:\n%s", out)
		}
	})
}
