package equal

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A client that stops sending behind its requests has net/http notice at
// some moment while it serves them: until then no request's context has ended,
// from then on each has, from its beginning. Which it is at a given look hangs on
// which of two goroutines is first, in net/http; so every moment is right. What
// is not: a context that lives behind one that has ended.

// hurried reports whether the client of the script does that, and no handler waits
// until it has noticed.
func (s script) hurried() bool {
	n := len(s.steps)
	return n > 0 && s.steps[n-1].do == doHalf && !slices.ContainsFunc(s.steps, func(st step) bool { return st.do == doEvent })
}

var (
	contextState = regexp.MustCompile(`\bcontext (<nil>|context canceled)(?: deadline false)?\n|\berror (unexpected EOF)`)
	answerStart  = regexp.MustCompile(`(?m)^HTTP/1\.[01] \d\d\d `)
	lengthField  = regexp.MustCompile(`\r\nContent-Length: (\d+)\r\n`)
)

const live, ended = "context <nil>", "context context canceled"

// anyMoment returns the text as if net/http had never noticed the client's end,
// and the text itself where a context lives behind one that has ended.
func anyMoment(text string) string {
	// Who has met the end in a body knows.
	over, met := false, false
	for _, m := range contextState.FindAllStringSubmatch(text, -1) {
		switch {
		case m[2] != "":
			met = true
		case m[1] != "<nil>":
			over = true
		case over || met:
			return text
		}
	}
	var b strings.Builder
	starts := answerStart.FindAllStringIndex(text, -1)
	for i, at := range starts {
		if i == 0 {
			b.WriteString(text[:at[0]])
		}
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		b.WriteString(neverNoticed(text[at[0]:end]))
	}
	if len(starts) == 0 {
		return text
	}
	return b.String()
}

// neverNoticed is anyMoment of one answer. The answer to a HEAD does not show how
// much of its length is the contexts'.
func neverNoticed(answer string) string {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	n := strings.Count(body, ended) * (len(ended) - len(live))
	head = lengthField.ReplaceAllStringFunc(head+"\r\n", func(field string) string {
		length, _ := strconv.Atoi(lengthField.FindStringSubmatch(field)[1])
		if body == "" {
			return "\r\nContent-Length: n\r\n"
		}
		return "\r\nContent-Length: " + strconv.Itoa(length-n) + "\r\n"
	})
	return head + "\r\n" + strings.ReplaceAll(body, ended, live)
}

// Every moment is taken for the same, and nothing else is.
func TestAnyMoment(t *testing.T) {
	answer := func(first, second string) string {
		body := "context " + first + " deadline false\nbody 0\ncontext " + second + "\nend.\n"
		return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	const no, yes = "<nil>", "context canceled"
	never := answer(no, no) + answer(no, no)
	for _, moment := range []string{never, answer(no, no) + answer(no, yes), answer(no, no) + answer(yes, yes), answer(no, yes) + answer(yes, yes), answer(yes, yes) + answer(yes, yes)} {
		if anyMoment(moment) != anyMoment(never) {
			t.Errorf("not the same: %q", moment)
		}
	}
	for _, wrong := range []string{answer(yes, no) + answer(no, no), answer(no, yes) + answer(no, no), strings.Replace(never, "body 0", "body 0 error unexpected EOF", 1), answer(yes, yes) + answer(no, yes), answer(no, no), strings.Replace(never, "body 0", "body 1", 1), strings.Replace(never, "Length: ", "Length: 1", 1)} {
		if anyMoment(wrong) == anyMoment(never) {
			t.Errorf("taken for the same: %q", wrong)
		}
	}
}
