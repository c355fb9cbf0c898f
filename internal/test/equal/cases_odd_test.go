package equal

import (
	"regexp"
	"strings"
	"time"
)

// reads are those of which it matters when a body comes.
var reads = regexp.MustCompile("^(reads|duplex|timeout)-|^(inform-read|read-twice|read-cleared)$")

// bare are the answers without a body.
var bare = regexp.MustCompile("^(inform-(switch|none|unmodified)|trailer-(none|unwritten)|none-length|copy-fails)$")

// oddCases are what handlers seldom do, and what becomes of the connection then.
func oddCases() (list []script) {
	for _, do := range []string{
		"inform-length", "inform-encoding", "inform-many", "inform-late", "inform-flushed", "inform-switch", "inform-close", "inform-none", "inform-unmodified", "inform-trailer", "inform-values", "inform-copy", "inform-read", "inform-hijack",
		"exit", "exit-written", "exit-flushed", "status-0", "status-1000", "status-twice", "error",
		"write-later", "read-later", "read-waits", "read-waits-notified", "read-cleared", "read-twice", "write-cleared", "write-expires",
		"duplex-unread", "duplex-unflushed", "duplex-part", "duplex-late", "duplex-panic", "duplex-close", "duplex-hijack",
		"trailer-length", "trailer-unwritten", "trailer-none", "trailer-values", "trailer-late", "trailer-panic",
		"late-fields", "late-length", "none-length", "short-length", "copy-length", "copy-fails", "empty-writes", "timeout-waits", "timeout-reads", "timeout-writes", "timeout-in-time", "reads-on", "reads-on-flushed", "reads-on-duplex", "hijack-after", "hijack-panic", "hijack-large", "hijack-written",
	} {
		target := "/a/odd?do=" + do
		for name, text := range map[string]string{
			"get": get(target, "X-Case: $ID"), "head": request("HEAD "+target+" HTTP/1.1", "Host: e", "X-Case: $ID"), "old": request("GET "+target+" HTTP/1.0", "Connection: keep-alive", "X-Case: $ID"),
			"post": post(target, "some body", "X-Case: $ID"), "large": post(target, strings.Repeat("x", 300000), "X-Case: $ID"), "chunked": chunked(target, "4\r\nbody\r\n0\r\nT: 1\r\n\r\n", "X-Case: $ID"),
			"half":   strings.TrimSuffix(post(target, "some body", "X-Case: $ID"), "body"),
			"expect": request("POST "+target+" HTTP/1.1", "Host: e", "Content-Length: 9", "Expect: 100-continue", "X-Case: $ID"),
		} {
			if name == "half" && !reads.MatchString(do) {
				continue
			}
			last := "end.\n"
			if name == "head" || bare.MatchString(do) {
				last = "\r\n\r\n"
			}
			s := steps(send(text), await(last), send(tail))
			switch {
			case name == "half":
				s = steps(send(text), pause(80*time.Millisecond), send("body"), await(last), send(tail))
			case name == "expect":
				s = steps(send(text), await("\r\n\r\n"), send("some body"), await(last), send(tail))
			case strings.HasSuffix(do, "-later"):
				s = steps(send(text), await(last), pause(120*time.Millisecond), send(tail)) // the deadline has passed
			}
			list = append(list, allWays(script{name: "odd-" + name + "/" + do, steps: s}, "new", "behind-other")...)
		}
		list = append(list, allWays(script{name: "odd-together/" + do, steps: steps(send(get(target, "X-Case: $ID") + get("/b/echo?between") + tail))}, "new", "behind-other")...)
	}
	return list
}
