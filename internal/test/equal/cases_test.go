package equal

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
)

// cases are all scripts but the random ones.
var cases = sync.OnceValue(func() (all []script) {
	for _, family := range [](func() []script){
		versionCases, methodCases, targetCases, lineCases, fieldCases, sizeCases, muxCases,
		lengthCases, chunkCases, expectCases, bodyCases, smuggleCases,
		pipelineCases, splitCases, halfCloseCases, leaveCases, keepAliveCases, alternateCases, slowCases,
		answerCases, panicCases, oddCases, connCases, socketCases, deadlineCases,
	} {
		all = append(all, family()...)
	}
	return all
})

// A request for one handler may reach it in several ways: the first of its
// connection; after one to the same handler, to another, to none; or behind such
// a request in the same segment.
var ways = []struct {
	name, before string
	pipelined    bool
}{
	{"new", "", false},
	{"own", "/a/echo?before", false},
	{"other", "/b/echo?before", false},
	{"gate", "/none?before", false},
	{"behind-own", "/a/echo?before", true},
	{"behind-other", "/b/echo?before", true},
	{"behind-none", "/none?before", true},
}

// allWays makes a case of each way, or of the named ones.
func allWays(base script, only ...string) (list []script) {
	for _, w := range ways {
		if len(only) > 0 && !slices.Contains(only, w.name) {
			continue
		}
		s := base
		s.name = base.name + "@" + w.name
		first := "GET " + w.before + " HTTP/1.1\r\nHost: e\r\n\r\n"
		switch {
		case w.before == "":
		case w.pipelined:
			s.steps = slices.Clone(base.steps)
			i := slices.IndexFunc(s.steps, func(st step) bool { return st.do == doSend })
			s.steps[i].text = first + s.steps[i].text
			s.steps = slices.Insert(s.steps, i+1, await(bodyEnd(w.before)))
		default:
			// A step that has to be the first stays there.
			s.steps = slices.Concat(steps(send(first), await(bodyEnd(w.before))), base.steps)
		}
		list = append(list, s)
	}
	return list
}

func bodyEnd(target string) string {
	if strings.HasPrefix(target, "/none") {
		return "404 page not found\n"
	}
	return "end.\n"
}

// few are the ways of which each shows another part of the engine.
var few = []string{"new", "own", "other", "behind-other"}

// label makes a stable name of what a case sends.
func label(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if b.Len() == 40 {
			break
		}
		if c > ' ' && c < 0x7f && !strings.ContainsRune(`@/\?#~`, rune(c)) {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
		}
	}
	return fmt.Sprintf("%s-%04x", b.String(), crc32.ChecksumIEEE([]byte(text))&0xffff)
}

// request is a request's head, ready for a body.
func request(line string, fields ...string) string {
	return line + "\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

// get is a plain request.
func get(target string, fields ...string) string {
	return request("GET "+target+" HTTP/1.1", append([]string{"Host: e"}, fields...)...)
}

// post is one with a body of its length.
func post(target, body string, fields ...string) string {
	return request("POST "+target+" HTTP/1.1", append([]string{"Host: e", fmt.Sprintf("Content-Length: %d", len(body))}, fields...)...) + body
}

// chunked is one whose body comes in chunks as they stand.
func chunked(target, chunks string, fields ...string) string {
	return request("POST "+target+" HTTP/1.1", append([]string{"Host: e", "Transfer-Encoding: chunked"}, fields...)...) + chunks
}

// tail is a last request: its answer shows that the connection was kept, and
// where the request before it has ended.
var tail = get("/a/echo?tail", "Connection: close")

// whole sends text, waits for the answer's head, and asks once more.
func whole(text string) []step {
	return steps(send(text), await("\r\n\r\n"), send(tail))
}

// each makes the cases of a table, whose entries are given to make.
func each(family string, table []string, only []string, make func(entry string) []step) (list []script) {
	for _, entry := range table {
		list = append(list, allWays(script{name: family + "/" + label(entry), steps: make(entry)}, only...)...)
	}
	return list
}
