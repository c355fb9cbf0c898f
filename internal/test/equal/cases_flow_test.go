package equal

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// mix is the n-th request of a mixture, and what its answer ends with.
func mix(kind string, n int) string {
	x := names[n%len(names)]
	switch kind {
	case "one":
		return get(fmt.Sprintf("/a/echo?n=%d", n))
	case "turns":
		return get(fmt.Sprintf("/%s/echo?n=%d", x, n))
	case "posts":
		return post(fmt.Sprintf("/%s/echo?n=%d", x, n), strings.Repeat("p", n*7))
	case "chunks":
		return chunked(fmt.Sprintf("/%s/echo?n=%d", x, n), "3\r\nabc\r\n0\r\nT: 1\r\n\r\n", "Trailer: T")
	case "large":
		return post(fmt.Sprintf("/%s/echo?n=%d", x, n), strings.Repeat("l", 3000+n))
	case "gate":
		return get([]string{"/none", "/a/echo", "/b/tree", "/c/get"}[n%4])
	case "heads":
		return request(fmt.Sprintf("HEAD /%s/echo?n=%d HTTP/1.1", x, n), "Host: e")
	case "unread":
		return post(fmt.Sprintf("/%s/head?n=%d", x, n), strings.Repeat("u", n*11))
	case "streams":
		return get(fmt.Sprintf("/%s/stream?n=%d", x, n%5))
	case "bigs":
		return get(fmt.Sprintf("/%s/big?n=%d", x, 5000*n))
	case "old":
		return request(fmt.Sprintf("GET /%s/echo?n=%d HTTP/1.0", x, n), "Connection: keep-alive")
	case "crlf":
		return post(fmt.Sprintf("/%s/echo?n=%d", x, n), "body") + "\r\n"
	case "informs":
		return get(fmt.Sprintf("/%s/informs?n=%d", x, n))
	case "trailers":
		return get(fmt.Sprintf("/%s/trailers?n=%d", x, n), "TE: trailers")
	}
	kinds := []string{"turns", "posts", "chunks", "gate", "heads", "unread", "streams", "one"}
	return mix(kinds[(n*5)%len(kinds)], n)
}

func pipelineCases() (list []script) {
	for _, kind := range []string{"one", "turns", "posts", "chunks", "large", "gate", "heads", "unread", "streams", "bigs", "old", "crlf", "informs", "trailers", "all"} {
		for _, n := range []int{2, 3, 5, 10, 20, 50} {
			var all strings.Builder
			for i := range n {
				all.WriteString(mix(kind, i))
			}
			name := fmt.Sprintf("%s-%d", kind, n)
			list = append(list, script{name: "pipeline/" + name, steps: steps(send(all.String() + tail))})
			list = append(list, script{name: "pipeline-half/" + name, steps: steps(send(all.String()), only(doHalf))})
			text := all.String() + tail
			if n <= 10 {
				list = append(list, script{name: "pipeline-parts/" + name, steps: sends(pieces(text, 8, uint64(n))...)})
			}
			if n == 3 || n == 20 {
				list = append(list, script{name: "pipeline-later/" + name, steps: steps(send(mix(kind, 0)), await("\r\n\r\n"), send(all.String()), pause(10*time.Millisecond), send(tail))})
				list = append(list, script{name: "pipeline-close/" + name, steps: steps(send(strings.Replace(all.String(), "\r\nHost", "\r\nConnection: close\r\nHost", 1) + tail))})
			}
		}
	}
	return list
}

// pieces cuts text into n pieces at places of the seed.
func pieces(text string, n int, seed uint64) (list []string) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	for n = min(n, len(text)); n > 1; n-- {
		i := 1 + rnd.IntN(max(1, len(text)-n))
		list = append(list, text[:i])
		text = text[i:]
	}
	return append(list, text)
}

// splitCases cut a head into two segments at every place, and into bytes.
func splitCases() (list []script) {
	for name, text := range map[string]string{
		"get": get("/a/echo?q", "X: y"), "post": post("/a/echo", "body", "X: y"), "none": get("/none"), "other": get("/b/echo"),
		"chunked": chunked("/a/echo", "4\r\nbody\r\n0\r\nT: 1\r\n\r\n"), "upgrade": get("/a/hijack", "Connection: Upgrade", "Upgrade: lines") + "early\nquit\n",
		"two": get("/a/echo") + get("/b/echo"), "old": request("GET /a/echo HTTP/1.0", "Connection: keep-alive"), "bad": "GET /a/echo HTTP/1.1\r\nHost: e\r\nX y\r\n\r\n", "star": request("OPTIONS * HTTP/1.1", "Host: e"),
	} {
		more := steps(await("\r\n\r\n"), send(tail))
		if name == "upgrade" {
			more = nil
		}
		for i := 1; i < len(text); i++ {
			list = append(list, script{name: fmt.Sprintf("split/%s-%03d", name, i), steps: append(sends(text[:i], text[i:]), more...)})
			if i%4 == 0 {
				list = append(list, allWays(script{name: fmt.Sprintf("split-after/%s-%03d", name, i), steps: append(sends(text[:i], text[i:]), more...)}, "own", "other", "behind-other")...)
			}
		}
		list = append(list, allWays(script{name: "bytes/" + name, steps: append(spaced(time.Millisecond, strings.Split(text, "")...), more...)})...)
		list = append(list, allWays(script{name: "bytes-fast/" + name, steps: append(spaced(0, strings.Split(text, "")...), more...)})...)
	}
	return list
}

// halfCloseCases stop sending at every stage of a request.
func halfCloseCases() (list []script) {
	table := map[string]string{
		"nothing": "", "g": "G", "line": "GET /a/echo HTTP/1.1\r\n", "half-head": "GET /a/echo HTTP/1.1\r\nHost:", "head": get("/a/echo"), "none": get("/none"), "post-none": post("/a/echo", "")[:40], "post-half": strings.TrimSuffix(post("/a/echo", "some body"), " body"),
		"post": post("/a/echo", "some body"), "chunk-half": chunked("/a/echo", "5\r\nab"), "chunk-end": chunked("/a/echo", "5\r\nabcde\r\n"), "chunked": chunked("/a/echo", "5\r\nabcde\r\n0\r\n\r\n"), "unread": post("/a/head", "some body"),
		"unread-half": post("/a/head", strings.Repeat("x", 5000))[:1000], "two": get("/a/echo") + get("/b/echo"), "two-half": get("/a/echo") + "GET /b/echo HTTP/1.1\r\nHo", "crlf": get("/a/echo") + "\r\n", "stream": get("/a/stream"),
		"hijack": get("/a/hijack"), "hijack-early": get("/a/hijack") + "early\n", "hijack-line": get("/a/hijack") + "no end", "raw": get("/a/raw") + "ab", "late": get("/a/late"), "late-post": post("/a/late", "body"), "duplex": post("/a/duplex", "some body"),
		"big": get("/a/big?n=3000000"), "old": request("GET /a/echo HTTP/1.0"), "bad": "GET /a/echo HTTP/9.9\r\n\r\n", "expect": request("POST /a/echo HTTP/1.1", "Host: e", "Content-Length: 4", "Expect: 100-continue"), "socket": handshake("a"),
	}
	for name, text := range table {
		list = append(list, allWays(script{name: "half-close/" + name, steps: steps(send(text), only(doHalf))})...)
		if name == "late" {
			continue // by then it may have answered
		}
		list = append(list, allWays(script{name: "half-close-later/" + name, steps: steps(send(text), pause(20e6), only(doHalf))})...)
	}
	for _, target := range []string{"waits", "notified", "waits?first=read", "waits?first=flush"} {
		list = append(list, allWays(script{name: "half-close-wait/" + label(target), events: 1, steps: steps(send(get("/a/"+target, "X-Case: $ID")), awaitEvent("begun"), pause(10e6), only(doHalf))})...)
		list = append(list, allWays(script{name: "half-close-wait-post/" + label(target), events: 1, steps: steps(send(post("/a/"+target+map[bool]string{true: "&", false: "?"}[strings.Contains(target, "?")]+"ms=1500", "body", "X-Case: $ID")), awaitEvent("begun"), pause(10e6), only(doHalf))})...)
	}
	return list
}

// leaveCases have the client leave while a handler is at its request.
func leaveCases() (list []script) {
	for _, how := range []struct {
		name string
		do   action
	}{{"close", doClose}, {"reset", doReset}} {
		for _, target := range []string{"waits?", "waits?first=read", "waits?first=flush", "notified?", "leaving?"} {
			for name, text := range map[string]string{
				"get": get("/a/"+target, "X-Case: $ID"), "post": post("/a/"+target+"&ms=1500", "body", "X-Case: $ID"), "head": request("HEAD /a/"+target+" HTTP/1.1", "Host: e", "X-Case: $ID"),
				"old": request("GET /a/"+target+" HTTP/1.0", "X-Case: $ID"), "chunked": chunked("/a/"+target+"&ms=1500", "3\r\nabc\r\n0\r\n\r\n", "X-Case: $ID"),
				"half-post": strings.Replace(post("/a/"+target+"&ms=1500", "body", "X-Case: $ID"), "\r\n\r\nbody", "\r\n\r\nbo", 1), "behind": get("/a/"+target, "X-Case: $ID") + get("/b/echo"), "behind-crlf": get("/a/"+target+"&ms=1500", "X-Case: $ID") + "\r\n",
			} {
				s := script{name: fmt.Sprintf("leave-%s/%s-%s", how.name, label(target), name), events: 1}
				s.steps = steps(send(text), awaitEvent("begun"), only(how.do), signalStep("left"))
				list = append(list, allWays(s)...)
			}
		}
		for _, target := range []string{"/a/floods", "/a/hijack", "/a/socket"} {
			s := script{name: fmt.Sprintf("leave-%s/%s", how.name, label(target)), events: 1, coarse: true}
			text := get(target, "X-Case: $ID")
			if target == "/a/socket" {
				text = strings.Replace(handshake("a"), "Host", "X-Case: $ID\r\nHost", 1)
			}
			s.steps = steps(send(text), await("\r\n\r\n"), only(how.do))
			list = append(list, allWays(s, few...)...)
		}
		for _, n := range []int{0, 1, 10, 40} {
			s := script{name: fmt.Sprintf("leave-%s-at-once/%d", how.name, n), events: 1}
			s.steps = steps(send(get("/a/leaving", "X-Case: $ID")), pause(time.Duration(n)*time.Millisecond), only(how.do), signalStep("left"))
			list = append(list, allWays(s, few...)...)
		}
	}
	return list
}

func keepAliveCases() (list []script) {
	for _, version := range []string{"HTTP/1.0", "HTTP/1.1"} {
		for _, connection := range []string{"", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: Keep-Alive\r\n", "Connection: keep-alive, close\r\n", "Connection: upgrade\r\n", "Connection: x, keep-alive\r\n", "Connection: x keep-alive\r\n", "Connection: close\r\nConnection: keep-alive\r\n", "Connection:\r\n"} {
			for _, target := range []string{"/a/echo", "/a/stream", "/none", "/a/nothing", "/a/big?n=9000", "/a/fields?Connection=close", "/a/fields?Connection=keep-alive", "/a/fields?Content-Length=20", "/a/trailers", "/a/informs"} {
				text := "GET " + target + " " + version + "\r\nHost: e\r\n" + connection + "\r\n"
				list = append(list, allWays(script{name: "keep-alive/" + label(version+connection+target), steps: whole(text)}, few...)...)
			}
		}
	}
	return list
}

// alternateCases go from handler to handler on one connection, an answer at a
// time.
func alternateCases() (list []script) {
	for _, kind := range []string{"turns", "posts", "chunks", "large", "gate", "heads", "unread", "streams", "bigs", "old", "crlf", "informs", "trailers", "all"} {
		for _, n := range []int{4, 12, 30} {
			var s []step
			for i := range n {
				s = append(s, send(mix(kind, i)), await("\r\n\r\n"))
				if kind != "heads" && kind != "gate" && kind != "all" && kind != "bigs" && kind != "informs" {
					s = append(s, await("end.\n"))
				}
			}
			list = append(list, script{name: fmt.Sprintf("alternate/%s-%d", kind, n), steps: append(s, send(tail))})
			if kind == "turns" || kind == "posts" {
				cut := make([]step, 0, 2*len(s))
				for _, st := range s {
					if st.do == doSend && len(st.text) > 10 {
						cut = append(cut, send(st.text[:len(st.text)/2]), pause(2e6), send(st.text[len(st.text)/2:]))
					} else {
						cut = append(cut, st)
					}
				}
				list = append(list, script{name: fmt.Sprintf("alternate-cut/%s-%d", kind, n), steps: append(cut, send(tail))})
			}
		}
	}
	return list
}

// slowCases meet the limits of time.
func slowCases() (list []script) {
	for name, text := range map[string]string{"g": "G", "line": "GET /a/echo HTTP/1.1\r\n", "head": "GET /a/echo HTTP/1.1\r\nHost: e\r\n", "nothing": "", "crlf": "\r\n", "post": strings.TrimSuffix(post("/a/echo", "some body"), " body")} {
		list = append(list, allWays(script{name: "timeout-head/" + name, tight: true, steps: steps(send(text), pause(4*time.Second))}, few...)...)
		list = append(list, allWays(script{name: "timeout-then/" + name, tight: true, steps: steps(send(text), pause(4*time.Second), send(tail))}, few...)...)
	}
	for _, d := range []time.Duration{400, 1000, 4000} {
		list = append(list, allWays(script{name: fmt.Sprintf("timeout-idle/%d", d), tight: true, steps: steps(send(get("/a/echo")), await("end.\n"), pause(d*time.Millisecond), send(tail))}, few...)...)
		list = append(list, allWays(script{name: fmt.Sprintf("timeout-first/%d", d), tight: true, steps: steps(send(""), pause(d*time.Millisecond), send(tail))}, "new")...)
	}
	return list
}
