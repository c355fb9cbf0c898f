package sd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/coreos/go-systemd/v22/journal"
	"github.com/sirupsen/logrus"
)

const (
	identifier = "plugserverd"
	prefix     = "PLUGSERVER_"
	maxField   = 64 // bytes in a field's name, systemd.journal-fields(7) and journald
)

// own are the log fields that have a journal field of their own.
var own = map[string]string{
	"handler":  prefix + "HANDLER",
	"pattern":  prefix + "PATTERN",
	"patterns": prefix + "PATTERN",
	"pid":      prefix + "CELL_PID",
	"version":  prefix + "VERSION",
	"reason":   prefix + "REASON",
	"mend":     prefix + "MEND",
}

// record is what the journal is to get.
type record struct {
	message  string
	priority journal.Priority
	vars     map[string]string
}

// newRecord copies everything out of e: its values may change once Fire returned.
func newRecord(e *logrus.Entry) record {
	r := record{priority: priority(e.Level), vars: map[string]string{"SYSLOG_IDENTIFIER": identifier}}
	plain := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(e.Data)) {
		v := text(e.Data[k])
		plain[k] = v
		name := field(k)
		if id := event.Event(v).MessageID(); k == event.Field && id != "" {
			name, v = "MESSAGE_ID", id
		}
		if old, taken := r.vars[name]; taken {
			v = old + "\n" + v // go-systemd sends a field once only
		}
		r.vars[name] = v
	}
	// Who reads MESSAGE alone is to learn who speaks, or why, and what to do.
	r.message = strings.TrimRight(e.Message, "\n")
	if plain["stream"] != "" && plain["handler"] != "" {
		r.message = said(plain, r.message)
		return r
	}
	for _, s := range []struct{ before, key string }{
		{": ", "reason"}, {": ", logrus.ErrorKey}, {"; mend: ", "mend"},
	} {
		if v := plain[s.key]; v != "" {
			r.message += s.before + v
		}
	}
	return r
}

// said is what a handler has said, for who reads MESSAGE alone: which handler it
// is, the text, and the attributes.
func said(fields map[string]string, message string) string {
	var b strings.Builder
	b.WriteString(fields["handler"] + ": " + message)
	gap := "  "
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		v := fields[k]
		if _, ours := own[k]; ours || k == "stream" || k == "group" || k == "stack" && strings.Contains(v, "\n") {
			continue
		}
		if b.Len() > maxSaid {
			b.WriteString(gap + "...")
			break
		}
		b.WriteString(gap + word(strings.TrimPrefix(k, "attr_")) + "=" + word(v))
		gap = " "
	}
	return b.String()
}

// maxSaid bounds the attributes in a message, in bytes: roughly, and each of them.
const maxSaid = 1 << 10

// word is s, quoted where it would not be told from what is around it.
func word(s string) string {
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid], "") + "..."
	}
	plain := func(r rune) bool { return r > ' ' && r != '"' && r != '=' && strconv.IsPrint(r) }
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// size is roughly what r holds in memory, in bytes.
func (r *record) size() int {
	n := len(r.message)
	for k, v := range r.vars {
		n += len(k) + len(v)
	}
	return n
}

// writeText writes r as lines with the priority in front (sd-daemon(3)), for
// a stderr that the journal reads.
func (r *record) writeText(w io.Writer) {
	var b strings.Builder
	indent := "" // of the first line: the others are no records of their own
	for line := range strings.Lines(r.message) {
		fmt.Fprintf(&b, "<%d>%s%s\n", r.priority, indent, strings.TrimRight(line, "\r\n"))
		indent = "  "
	}
	for _, k := range slices.Sorted(maps.Keys(r.vars)) {
		if strings.HasPrefix(k, prefix) && k != own["reason"] && k != own["mend"] {
			fmt.Fprintf(&b, "<%d>  %s=%q\n", r.priority, k, r.vars[k])
		}
	}
	io.WriteString(w, b.String()) // nowhere is left to report an error
}

// priority is syslog(3)'s.
func priority(l logrus.Level) journal.Priority {
	switch l {
	case logrus.PanicLevel, logrus.FatalLevel:
		return journal.PriCrit
	case logrus.ErrorLevel:
		return journal.PriErr
	case logrus.WarnLevel:
		return journal.PriWarning
	case logrus.InfoLevel:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// field is the journal field of a log field: upper case letters, digits and
// underscores, at most 64 of them.
func field(key string) string {
	if name, ok := own[key]; ok {
		return name
	}
	name := []byte(prefix + "FIELD_" + key)
	for i, c := range name {
		switch {
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case 'a' <= c && c <= 'z':
			name[i] = c - 'a' + 'A'
		default:
			name[i] = '_'
		}
	}
	return string(name[:min(len(name), maxField)])
}

func text(v any) string {
	if list, ok := v.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(v) // errors and Stringers included
}
