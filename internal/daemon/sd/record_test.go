package sd

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"
)

func TestRecord(t *testing.T) {
	for _, tt := range []struct {
		name   string
		level  logrus.Level
		text   string
		fields logrus.Fields
		want   record // less SYSLOG_IDENTIFIER
	}{
		{"plain", logrus.InfoLevel, "ready\n", nil,
			record{"ready", journal.PriInfo, map[string]string{}}},
		{"refused", logrus.WarnLevel, "refused: users.so", logrus.Fields{
			"event": "refused", "handler": "users", "reason": "it is no ELF file", "mend": "build it",
		}, record{"refused: users.so: it is no ELF file; mend: build it", journal.PriWarning, map[string]string{
			"MESSAGE_ID": event.Refused.MessageID(), "PLUGSERVER_HANDLER": "users",
			"PLUGSERVER_REASON": "it is no ELF file", "PLUGSERVER_MEND": "build it",
		}}},
		{"live", logrus.InfoLevel, "live: users", logrus.Fields{
			"event": "live", "pid": 42, "version": "abc", "patterns": "/a, /b", "took": 7 * time.Millisecond,
		}, record{"live: users", journal.PriInfo, map[string]string{
			"MESSAGE_ID": event.Live.MessageID(), "PLUGSERVER_CELL_PID": "42", "PLUGSERVER_VERSION": "abc",
			"PLUGSERVER_PATTERN": "/a, /b", "PLUGSERVER_FIELD_TOOK": "7ms",
		}}},
		{"reason alone", logrus.ErrorLevel, "restart failed: a", logrus.Fields{"reason": "hung", "mend": ""},
			record{"restart failed: a: hung", journal.PriErr, map[string]string{"PLUGSERVER_REASON": "hung", "PLUGSERVER_MEND": ""}}},
		{"error", logrus.ErrorLevel, "gate cannot be started", logrus.Fields{"error": errors.New("no memory")},
			record{"gate cannot be started: no memory", journal.PriErr, map[string]string{"PLUGSERVER_FIELD_ERROR": "no memory"}}},
		{"unknown event", logrus.DebugLevel, "x", logrus.Fields{"event": "lunch", "stream": "live"},
			record{"x", journal.PriDebug, map[string]string{"PLUGSERVER_FIELD_EVENT": "lunch", "PLUGSERVER_FIELD_STREAM": "live"}}},
		{"clash", logrus.FatalLevel, "x", logrus.Fields{"a.b": 1, "a_b": 2, "pattern": "/p", "patterns": []string{"/q", "/r"}, "nil": nil},
			record{"x", journal.PriCrit, map[string]string{
				"PLUGSERVER_FIELD_A_B": "1\n2", "PLUGSERVER_PATTERN": "/p\n/q, /r", "PLUGSERVER_FIELD_NIL": "<nil>",
			}}},
		{"a handler prints", logrus.WarnLevel, "boom", logrus.Fields{"handler": "users", "stream": "stderr"},
			record{"users: boom", journal.PriWarning, map[string]string{"PLUGSERVER_HANDLER": "users", "PLUGSERVER_FIELD_STREAM": "stderr"}}},
		{"a handler logs", logrus.ErrorLevel, "query failed", logrus.Fields{
			"handler": "users", "version": "abc", "pid": 42, "stream": "log", "stack": "a\nb",
			"attr_error": "no rows", "n": "3", "a b=\n": "x\n<0>y", "empty": "",
		}, record{`users: query failed  "a b=\n"="x\n<0>y" error="no rows" empty="" n=3`, journal.PriErr, map[string]string{
			"PLUGSERVER_HANDLER": "users", "PLUGSERVER_VERSION": "abc", "PLUGSERVER_CELL_PID": "42",
			"PLUGSERVER_FIELD_STREAM": "log", "PLUGSERVER_FIELD_STACK": "a\nb", "PLUGSERVER_FIELD_ATTR_ERROR": "no rows",
			"PLUGSERVER_FIELD_N": "3", "PLUGSERVER_FIELD_A_B__": "x\n<0>y", "PLUGSERVER_FIELD_EMPTY": "",
		}}},
		{"trace", logrus.TraceLevel, "x", nil, record{"x", journal.PriDebug, map[string]string{}}},
	} {
		got := newRecord(&logrus.Entry{Level: tt.level, Message: tt.text, Data: tt.fields})
		if got.vars["SYSLOG_IDENTIFIER"] != "plugserverd" {
			t.Errorf("%s: SYSLOG_IDENTIFIER is %q", tt.name, got.vars["SYSLOG_IDENTIFIER"])
		}
		delete(got.vars, "SYSLOG_IDENTIFIER")
		if got.message != tt.want.message || got.priority != tt.want.priority || !maps.Equal(got.vars, tt.want.vars) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

func TestField(t *testing.T) {
	for key, want := range map[string]string{
		"handler":               "PLUGSERVER_HANDLER",
		"Handler":               "PLUGSERVER_FIELD_HANDLER",
		"request.id":            "PLUGSERVER_FIELD_REQUEST_ID",
		"_x":                    "PLUGSERVER_FIELD__X",
		"":                      "PLUGSERVER_FIELD_",
		"ü":                     "PLUGSERVER_FIELD___",
		"a=b\nc":                "PLUGSERVER_FIELD_A_B_C",
		strings.Repeat("k", 99): "PLUGSERVER_FIELD_" + strings.Repeat("K", 47),
	} {
		if got := field(key); got != want {
			t.Errorf("field(%q) = %q, want %q", key, got, want)
		}
	}
}

func FuzzField(f *testing.F) {
	valid := regexp.MustCompile(`\A[A-Z][A-Z0-9_]{0,63}\z`)
	for _, key := range []string{"handler", "a.b", "\xff=\n", strings.Repeat("_", 100)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if got := field(key); !valid.MatchString(got) {
			t.Errorf("field(%q) = %q: journald drops it", key, got)
		}
	})
}

func TestWriteText(t *testing.T) {
	r := newRecord(&logrus.Entry{Level: logrus.ErrorLevel, Message: "one\ntwo", Data: logrus.Fields{
		"event": "refused", "handler": "a", "reason": "bad", "mend": "do", "took": "1\n2",
	}})
	var b strings.Builder
	r.writeText(&b)
	want := fmt.Sprint("<3>one\n<3>  two: bad; mend: do\n", `<3>  PLUGSERVER_FIELD_TOOK="1\n2"`, "\n", `<3>  PLUGSERVER_HANDLER="a"`, "\n")
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
