package equal

import (
	"go/version"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

type intention struct {
	row   string // one of TLS alone begins with tls-, one of loans with lent-
	cases *regexp.Regexp
	right func(want, got transcript) bool
}

// intended ties the cases that are meant to differ to the rows of
// docs/differences.md, which say why, and to what is right instead.
var intended = []*intention{
	{
		"panic-500", regexp.MustCompile(`^panic(-[a-z]+)?/(none|header|inform|body|nil)(@|$)|^expect-[a-z]+/100-continue-[0-9a-f]+-panic|^odd-[a-z]+/status-(0|1000)@`),
		func(_, got transcript) bool { return internalError.MatchString(got.got) },
	},
	{
		"fin-or-rst", regexp.MustCompile(`.`),
		func(want, got transcript) bool {
			return want.end != got.end && closed(want, got) && want.got == got.got && want.events == got.events
		},
	},
	{
		"redirect-307", regexp.MustCompile(`.`),
		func(want, got transcript) bool {
			return *releaseFlag != "" && want.end == got.end && want.events == got.events && as307(want.got) == as307(got.got)
		},
	},
	{
		"connect-301", regexp.MustCompile(`^connect/`),
		func(want, got transcript) bool {
			return *releaseFlag != "" && want.end == got.end && want.events == got.events && want.got == rootFound.ReplaceAllString(got.got, notFound)
		},
	},
	{
		"head-copy", regexp.MustCompile(`^answer-HEAD-1\.[01]/file_copy=`),
		func(want, got transcript) bool {
			return *releaseFlag == "go1.23.0" && want.events == got.events && strings.Contains(want.got, "\r\n\r\n0123456789abcdef") && !strings.Contains(got.got, "0123456789abcdef")
		},
	},
	{
		"hijack-type", regexp.MustCompile(`hijack`),
		func(want, got transcript) bool {
			old := *releaseFlag != "" && version.Compare(*releaseFlag, "go1.25") < 0
			return old && want.end == got.end && want.events == got.events &&
				want.got == strings.ReplaceAll(got.got, "type handover.wholeTCP tcp false", "type *net.TCPConn tcp true")
		},
	},
	{
		"tls-hijack-type", regexp.MustCompile(`hijack|upgrade`),
		func(want, got transcript) bool {
			return (want.end == got.end || closed(want, got)) && want.events == got.events &&
				want.got == strings.ReplaceAll(got.got, "type *handover.secured tcp", "type *tls.Conn tcp")
		},
	},
	{
		"lent-hijack-type", regexp.MustCompile(`hijack|upgrade`),
		func(want, got transcript) bool {
			return (want.end == got.end || closed(want, got)) && want.events == got.events && want.got == withoutLoan(got.got)
		},
	},
	{
		// It ends where net/http goes on, and until then is the same.
		"lent-unasked", regexp.MustCompile(`hijack|raw|passon|status_code=101|inform-switch|fields_(Transfer-Encoding|Content-Length)=`),
		func(want, got transcript) bool {
			begun := strings.TrimSuffix(withoutLoan(got.got), `""`)
			return begun != "" && len(got.got) < len(want.got) && strings.HasPrefix(want.got, begun) && got.end != "open" && want.events == got.events
		},
	},
	{
		"lent-trailer", regexp.MustCompile(`^chunk[a-z-]*/(0___-b57a|0__T:_1__-5528)@`),
		func(want, got transcript) bool {
			answers := answerStart.FindAllStringIndex(got.got, -1)
			n := len(answers)
			return n > 0 && n == len(answerStart.FindAllStringIndex(want.got, -1))-1 && closed(want, got) &&
				strings.Contains(got.got[answers[n-1][0]:], "\r\nConnection: close\r\n")
		},
	},
	{
		"lent-reset", regexp.MustCompile(`^leave-reset`),
		func(want, got transcript) bool {
			return want.got == got.got && want.end == got.end && (strings.ReplaceAll(want.events, resetByClient, "unexpected EOF") == got.events ||
				strings.ReplaceAll(want.events, resetByClient, "EOF") == got.events)
		},
	},
	{
		"lent-head-400", regexp.MustCompile(`^smuggle-HEAD`),
		func(want, got transcript) bool {
			return closed(want, got) && want.events == got.events &&
				want.got == strings.TrimSuffix(got.got, "Connection: close\r\n\r\n")+badHead
		},
	},
}

// withoutLoan is what came of a handler that has taken a connection over, had it got the client's own.
func withoutLoan(text string) string {
	return strings.ReplaceAll(text, "type *handover.told tcp false", "type *net.TCPConn tcp true")
}

const (
	resetByClient = "read tcp SERVER->CLIENT: read: connection reset by peer"
	badHead       = "Connection: close\r\n\r\n400 Bad Request: invalid header name"
)

// closed reports whether both connections were closed, in whichever way.
func closed(want, got transcript) bool {
	ends := map[string]bool{"FIN": true, "RST": true}
	return ends[want.end] && ends[got.end]
}

// A request to CONNECT to a host, and no path, as older releases of net/http's mux
// answer it where no pattern matches, and as newer ones do.
const notFound = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nDate: masked\r\n" +
	"Content-Length: 19\r\n\r\n404 page not found\n"

var rootFound = regexp.MustCompile(`HTTP/1\.1 301 Moved Permanently\r\nLocation: /(\?x)?\r\nDate: masked\r\nContent-Length: 0\r\n\r\n`)

// as307 has the redirects of older releases of net/http's mux as newer ones
// answer them, whatever their lengths.
func as307(text string) string {
	text = strings.ReplaceAll(text, "301 Moved Permanently", "307 Temporary Redirect")
	text = strings.ReplaceAll(text, ">Moved Permanently<", ">Temporary Redirect<")
	return regexp.MustCompile(`Content-Length: \d+`).ReplaceAllString(text, "Content-Length: n")
}

var internalError = regexp.MustCompile(`HTTP/1\.[01] 500 Internal Server Error\r\n`)

// intendedRow is the row that allows what came of a case, "" if none does.
func intendedRow(o *outcome) string {
	odd := o.differing()
	if len(odd) == 0 {
		return ""
	}
	o.ref.mu.Lock()
	defer o.ref.mu.Unlock()
	for _, i := range intended {
		if strings.HasPrefix(i.row, "tls-") && o.mode != secured || strings.HasPrefix(i.row, "lent-") && o.mode != lent {
			continue
		}
		if i.cases.MatchString(o.script.name) && !slices.ContainsFunc(odd, func(got transcript) bool { return !i.rightOf(o, got) }) {
			return i.row
		}
	}
	return ""
}

// rightOf reports whether got is right for one of the reference's variants.
func (i *intention) rightOf(o *outcome, got transcript) bool {
	return slices.ContainsFunc(o.ref.all, func(want transcript) bool {
		if i.right(want, got) {
			return true
		}
		if o.script.hurried() {
			want.got, got.got = anyMoment(want.got), anyMoment(got.got)
		}
		return i.right(want, got)
	})
}

// Every intended difference has its reason in the documentation, and every row
// there a case.
func TestIntendedDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		rows[m[1]] = true
	}
	listed := make(map[string]bool)
	for _, i := range intended {
		listed[i.row] = true
		if !rows[i.row] {
			t.Errorf("docs/differences.md has no row `%s`", i.row)
		}
		n := 0
		for _, s := range cases() {
			if i.cases.MatchString(s.name) {
				n++
			}
		}
		if n == 0 {
			t.Errorf("no case is called like %v", i.cases)
		}
	}
	for row := range rows {
		if !listed[row] {
			t.Errorf("the row `%s` of docs/differences.md is tied to no case", row)
		}
	}
	if strings.Contains(string(text), "TODO") {
		t.Error("docs/differences.md is not finished")
	}
}
