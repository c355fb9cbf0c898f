// Package access is the access log: what a line of it says, and how each process that
// serves writes its own. A process gathers its lines in memory that it shares with the
// supervisor, and appends them, many in one write, to a file that it was given: nothing
// is sent anywhere, and of a process that is killed the supervisor writes the rest.
package access

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/counter"
)

// Format is how a line looks.
type Format string

const (
	Combined Format = "combined" // as Apache's and nginx's of that name, in UTC
	JSON     Format = "json"     // an object a line, with all that is known
)

// Entry is one request and its answer.
type Entry struct {
	Began   time.Time
	Took    time.Duration
	Client  string // an http.Request's RemoteAddr
	Handler string // "" where no handler has answered, as for the next two
	Version string
	Pattern string
	Asked   Asked
	Status  int   // counter.Hijacked where the handler has taken the connection; 0 is none
	Bytes   int64 // of the answer's body
}

// Asked is what a request's head says, in texts that no handler can change.
type Asked struct {
	Method, Target, Proto                      string
	Referer, UserAgent, RequestID, TraceParent string
}

// AskedBy returns what is logged of r's head. It is called before a handler has r.
func AskedBy(r *http.Request) Asked {
	return Asked{
		Method: r.Method, Target: r.RequestURI, Proto: r.Proto,
		Referer: first(r.Header["Referer"]), UserAgent: first(r.Header["User-Agent"]),
		RequestID: first(r.Header["X-Request-Id"]), TraceParent: first(r.Header["Traceparent"]),
	}
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// What a client sends is cut beyond so many bytes.
const (
	mostTarget = 8 << 10
	mostField  = 2 << 10
)

// append appends e's line.
func (e *Entry) append(b []byte, as Format) []byte {
	if as == JSON {
		return e.appendJSON(b)
	}
	return e.appendCombined(b)
}

// status is what is said of the answer: of a connection that a handler has taken, that
// the protocol was switched.
func (e *Entry) status() int {
	if e.Status == counter.Hijacked {
		return http.StatusSwitchingProtocols
	}
	return e.Status
}

func (e *Entry) appendCombined(b []byte) []byte {
	b = appendEscaped(b, client(e.Client), mostField)
	b = append(b, " - - ["...)
	b = append(b, secondOf(e.Began).combined...)
	b = append(b, `] "`...)
	if e.Asked.Method != "" {
		b = appendEscaped(b, e.Asked.Method, mostField)
		b = append(b, ' ')
	}
	b = appendEscaped(b, e.Asked.Target, mostTarget)
	if e.Asked.Proto != "" {
		b = append(b, ' ')
		b = appendEscaped(b, e.Asked.Proto, mostField)
	}
	b = append(b, `" `...)
	b = appendStatus(b, e.status())
	b = append(b, ' ')
	b = strconv.AppendInt(b, e.Bytes, 10)
	b = appendQuoted(b, e.Asked.Referer)
	b = appendQuoted(b, e.Asked.UserAgent)
	return append(b, '\n')
}

// appendStatus appends three digits.
func appendStatus(b []byte, status int) []byte {
	if status < 100 {
		return append(b, "000"...)
	}
	return strconv.AppendInt(b, int64(status), 10)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, ` "`...)
	if s == "" {
		b = append(b, '-')
	}
	b = appendEscaped(b, s, mostField)
	return append(b, '"')
}

const hex = "0123456789ABCDEF"

// appendEscaped appends s, of which no byte ends the line or a quoted text: as nginx
// has it.
func appendEscaped(b []byte, s string, most int) []byte {
	s, cut := bounded(s, most)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return append(b, cut...)
}

func (e *Entry) appendJSON(b []byte) []byte {
	s := secondOf(e.Began)
	b = append(b, `{"time":"`...)
	b = append(b, s.json...)
	b = append(b, '.')
	b = appendDigits(b, e.Began.Nanosecond()/1e6, 3)
	b = append(b, `Z","client":"`...)
	b = appendText(b, client(e.Client), mostField)
	b = append(b, '"')
	if e.Handler != "" {
		b = appendMember(b, `,"handler":"`, e.Handler)
		b = appendMember(b, `,"version":"`, e.Version)
		b = appendMember(b, `,"pattern":"`, e.Pattern)
	}
	b = appendMember(b, `,"method":"`, e.Asked.Method)
	path, query, asks := strings.Cut(e.Asked.Target, "?")
	b = append(b, `,"path":"`...)
	b = appendText(b, path, mostTarget)
	b = append(b, '"')
	if asks {
		b = append(b, `,"query":"`...)
		b = appendText(b, query, mostTarget)
		b = append(b, '"')
	}
	b = appendMember(b, `,"protocol":"`, e.Asked.Proto)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(e.status()), 10)
	if e.Status == counter.Hijacked {
		b = append(b, `,"hijacked":true`...)
	}
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, e.Bytes, 10)
	b = append(b, `,"duration":`...)
	took := max(e.Took, 0)
	b = strconv.AppendInt(b, int64(took/time.Second), 10)
	b = append(b, '.')
	b = appendDigits(b, int(took%time.Second/time.Microsecond), 6)
	b = appendMember(b, `,"referer":"`, e.Asked.Referer)
	b = appendMember(b, `,"user_agent":"`, e.Asked.UserAgent)
	b = appendMember(b, `,"request_id":"`, e.Asked.RequestID)
	b = appendMember(b, `,"traceparent":"`, e.Asked.TraceParent)
	return append(b, "}\n"...)
}

// appendMember appends a member of an object, unless it is empty.
func appendMember(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	b = append(b, name...)
	b = appendText(b, s, mostField)
	return append(b, '"')
}

// appendText appends s as it stands in a text of JSON. What is not UTF-8 is U+FFFD.
func appendText(b []byte, s string, most int) []byte {
	s, cut := bounded(s, most)
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == '\u0085' || r == '\u2028' || r == '\u2029' { // some take these for the line's end
				b = append(b, `\u`...)
				b = append(b, hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			} else {
				b = utf8.AppendRune(b, r)
			}
			i += n
			continue
		}
		i++
	}
	return append(b, cut...)
}

// bounded returns the beginning of s, and what says that there is more.
func bounded(s string, most int) (begin, cut string) {
	if len(s) <= most {
		return s, ""
	}
	return s[:most], "..."
}

// appendDigits appends n with zeros in front.
func appendDigits(b []byte, n, digits int) []byte {
	var d [9]byte
	for i := digits - 1; i >= 0; i-- {
		d[i] = byte('0' + n%10)
		n /= 10
	}
	return append(b, d[:digits]...)
}

// client is the host of an address, without its port; of a Unix socket "unix:".
func client(remote string) string {
	if remote == "" || remote[0] == '@' {
		return "unix:"
	}
	host := remote
	if i := strings.LastIndexByte(remote, ':'); i >= 0 {
		host = remote[:i]
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host
}

// second is the texts of one second.
type second struct {
	unix           int64
	combined, json string
}

var lastSecond atomic.Pointer[second]

func secondOf(t time.Time) *second {
	s := lastSecond.Load()
	if unix := t.Unix(); s == nil || s.unix != unix {
		t = t.UTC()
		s = &second{unix, t.Format("02/Jan/2006:15:04:05 -0700"), t.Format("2006-01-02T15:04:05")}
		lastSecond.Store(s)
	}
	return s
}
