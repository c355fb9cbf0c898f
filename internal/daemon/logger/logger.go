// Package logger is the daemon's own log: the text that people read, or JSON, or the
// journal's records.
package logger

import (
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/sd"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// text formats the log for people, a record a line: no handler's text, key or
// name begins another, and none acts on a terminal.
type text struct {
	logrus.TextFormatter
}

func newText(w io.Writer) *text {
	tty := isTerminal(w)
	return &text{logrus.TextFormatter{FullTimestamp: true, ForceColors: tty, DisableColors: !tty}}
}

// Format is logrus's, of keys that it does not quote, and of a message that it
// does not quote on a terminal.
func (f *text) Format(e *logrus.Entry) ([]byte, error) {
	safe := *e
	safe.Data = make(logrus.Fields, len(e.Data))
	for k, v := range e.Data {
		safe.Data[key(k)] = v
	}
	if f.ForceColors {
		safe.Message = escape(e.Message)
	}
	return f.TextFormatter.Format(&safe)
}

// maxKey bounds a key, in bytes.
const maxKey = 100

// key is k where that is a word, else quoted.
func key(k string) string {
	if len(k) > maxKey {
		k = k[:maxKey] + "..."
	}
	word := func(r rune) bool { return r > ' ' && r != '"' && r != '=' && r < 0x7f }
	if k == "" || strings.ContainsFunc(k, func(r rune) bool { return !word(r) }) {
		return strconv.QuoteToASCII(k)
	}
	return k
}

// escape returns s on one line, with nothing that a terminal could act on.
func escape(s string) string {
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// New returns the logger, and what ends it. Format is auto, text or json: with auto, where w
// is stderr and that is the journal, records go there natively. Level is one of logrus's.
func New(format, levelName string, w io.Writer) (log *logrus.Logger, flush func()) {
	log = logrus.New()
	log.SetOutput(w)
	level, _ := logrus.ParseLevel(levelName)   // checked
	log.SetLevel(max(level, logrus.InfoLevel)) // events are counted whatever is told
	log.SetFormatter(upTo{newText(w), level})
	switch {
	case format == "json":
		log.SetFormatter(upTo{&logrus.JSONFormatter{}, level})
	case format == "auto" && w == io.Writer(os.Stderr) && sd.OnJournal():
		hook := sd.NewJournalHook()
		log.AddHook(hookUpTo{hook, level})
		log.SetOutput(io.Discard)
		return log, func() { hook.Close(time.Second) }
	}
	return log, func() {}
}

// upTo formats the records of a level, and of those that matter more.
type upTo struct {
	logrus.Formatter
	level logrus.Level
}

// Format implements logrus.Formatter.
func (f upTo) Format(e *logrus.Entry) ([]byte, error) {
	if e.Level > f.level {
		return nil, nil
	}
	return f.Formatter.Format(e)
}

// hookUpTo is a hook for them.
type hookUpTo struct {
	logrus.Hook
	level logrus.Level
}

// Levels implements logrus.Hook.
func (h hookUpTo) Levels() []logrus.Level { return logrus.AllLevels[:h.level+1] }
