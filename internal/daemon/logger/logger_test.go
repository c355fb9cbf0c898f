package logger

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/sirupsen/logrus"
)

// Whatever a handler logs, and whatever its name is, a record is one line, and
// nothing in it acts on a terminal.
func TestText(t *testing.T) {
	const forged = "x\ntime=\"2026\" level=info msg=\"live: evil\"\r\x1b[2J\u202e\u009b\u2028y"
	for _, tty := range []bool{false, true} {
		for name, log := range map[string]func(*logrus.Entry){
			"message": func(e *logrus.Entry) { e.Warn(forged) },
			"key":     func(e *logrus.Entry) { e.WithField(forged, "v").Info("m") },
			"value":   func(e *logrus.Entry) { e.WithField("k", forged).Info("m") },
			"handler": func(e *logrus.Entry) { e.WithField("handler", forged).Error("refused: " + forged) },
			"error":   func(e *logrus.Entry) { e.WithField("error", errText(forged)).Error("m") },
			"list":    func(e *logrus.Entry) { e.WithField("patterns", []string{forged}).Info("m") },
			"empty":   func(e *logrus.Entry) { e.WithField("", "").Info("") },
			"long":    func(e *logrus.Entry) { e.WithField(strings.Repeat("k", 9999), "v").Info("m") },
			"crowded": func(e *logrus.Entry) { e.WithField("a=\"b\" msg", "v").Info("m") },
		} {
			var b bytes.Buffer
			l := logrus.New()
			l.SetOutput(&b)
			f := newText(&b)
			f.ForceColors, f.DisableColors = tty, !tty
			l.SetFormatter(f)
			log(logrus.NewEntry(l))
			line, ok := strings.CutSuffix(b.String(), "\n")
			if tty { // logrus's own
				for _, color := range []string{"\x1b[0m", "\x1b[36m", "\x1b[33m", "\x1b[31m"} {
					line = strings.ReplaceAll(line, color, "")
				}
			}
			bad := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) })
			if !ok || bad >= 0 || len(line) > 1000 || !tty && strings.Contains(line, ` level=info msg="live`) {
				t.Errorf("%s, terminal %v: %q", name, tty, b.String())
			}
		}
	}
}

type errText string

func (e errText) Error() string { return string(e) }

// Events are counted whatever the log's level is; what is told, is of that level.
func TestEventsBelowTheLevel(t *testing.T) {
	var out bytes.Buffer
	for _, format := range []string{"text", "json"} {
		log, flush := New(format, "error", &out)
		book := events.New(nil)
		log.AddHook(book)
		log.WithField(event.Field, event.Live).Info("live: a")
		log.WithField(event.Field, event.Refused).Warn("refused: b")
		flush()
		if out.Len() > 0 {
			t.Errorf("%s: %s", format, out.String())
		}
		if all, _ := book.Since(0); len(all) != 2 {
			t.Errorf("%s: %d events", format, len(all))
		}
		log.Error("told")
		if !strings.Contains(out.String(), "told") {
			t.Errorf("%s: an error is not told", format)
		}
		out.Reset()
	}
}
