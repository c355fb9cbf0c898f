package equal

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// answerCases are what handlers may do with an answer.
func answerCases() (list []script) {
	table := []string{
		"stream?n=0", "stream?n=1", "stream?n=20", "flush", "nothing", "offers", "trailers", "trailers?flush=1", "informs", "informs?continue=1",
		"big?n=0", "big?n=1&p=1", "big?n=2047&p=100", "big?n=2048&p=100", "big?n=2049&p=100", "big?n=2048&p=2048", "big?n=2049&p=2049", "big?n=4096&p=4096", "big?n=4097&p=4097", "big?n=100000", "big?n=3000000&p=100000", "big?n=5000&p=7",
		"big?n=2048&p=100&length=1", "big?n=100000&length=1", "big?n=0&length=1", "declared?n=10&each=5&writes=1", "declared?n=10&each=5&writes=2", "declared?n=10&each=6&writes=2", "declared?n=10&each=20", "declared?n=0&each=5",
		"declared?n=5000&each=10&writes=1", "status?code=204", "status?code=204&body=x", "status?code=304&body=x", "status?code=304&length=5", "status?code=205&body=x", "status?code=200&length=0", "status?code=404&body=gone", "status?code=599&body=odd", "status?code=999&body=x", "status?code=204&length=5", "status?code=301&body=",
		"status?code=101", "status?code=100&body=x", "status?code=103&body=x", "status?code=199&body=x", "fields?Connection=close", "fields?Connection=x", "fields?Content-Type=nil", "fields?Content-Type=", "fields?Date=nil", "fields?Date=x", "fields?Transfer-Encoding=identity", "fields?Transfer-Encoding=chunked", "fields?Transfer-Encoding=x",
		"fields?Content-Length=x", "fields?Content-Length=-1", "fields?Content-Length=20", "fields?Content-Length=13", "fields?X=a%0d%0ab", "fields?X=%00", "fields?X+Y=z", "fields?x-lower=y", "fields?X=a&X=b&X=c", "fields?Content-Encoding=gzip", "fields?Upgrade=x&Connection=upgrade", "fields?Trailer:X=1", "fields?Server=s", "fields?Keep-Alive=x", "fields?Trailer=X",
		"file", "file?n=100000", "file?n=0", "file?copy=1", "file?copy=1&n=300000", "tree", "exact", "hijack?return=1", "afterwards",
	}
	for _, m := range []string{"GET", "HEAD", "POST"} {
		for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
			ways := []string{"new", "other", "behind-other"}
			if m != "GET" || version == "HTTP/1.0" {
				ways = []string{"new", "behind-other"}
			}
			for _, target := range table {
				s := script{name: fmt.Sprintf("answer-%s-%s/%s", m, version[5:], label(target)), coarse: false}
				fields := []string{"Host: e", "X-Case: $ID"}
				if m == "POST" {
					fields = append(fields, "Content-Length: 0")
				}
				s.steps = whole(request(m+" /a/"+target+" "+version, fields...))
				for _, told := range []string{"declared", "status", "copy=1", "afterwards"} {
					if strings.Contains(target, told) {
						s.events = 1
					}
				}
				if version == "HTTP/1.0" {
					s.steps = s.steps[:1] // the connection ends, and a request behind it would race with that
				}
				list = append(list, allWays(s, ways...)...)
			}
		}
	}
	for _, field := range []string{"Range: bytes=0-3", "Range: bytes=-3", "Range: bytes=5-", "Range: bytes=2000-", "Range: x", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", "If-Unmodified-Since: Sun, 09 Sep 2000 01:46:40 GMT", "If-None-Match: *"} {
		list = append(list, allWays(script{name: "answer-range/" + label(field), steps: whole(get("/a/file", field))}, few...)...)
	}
	return list
}

func panicCases() (list []script) {
	for _, when := range []string{"none", "header", "inform", "status", "write", "length", "flush", "body", "nil"} {
		for _, abort := range []string{"", "&abort=1"} {
			name := when
			if abort != "" {
				name = "abort-" + when
				if when == "nil" {
					continue
				}
			}
			list = append(list, allWays(script{name: "panic/" + name, steps: whole(get("/a/panic?when=" + when + abort))})...)
			list = append(list, allWays(script{name: "panic-post/" + name, steps: whole(post("/a/panic?when="+when+abort, "some body"))}, few...)...)
			list = append(list, allWays(script{name: "panic-head/" + name, steps: whole(request("HEAD /a/panic?when="+when+abort+" HTTP/1.1", "Host: e"))}, few...)...)
			list = append(list, allWays(script{name: "panic-old/" + name, steps: whole(request("GET /a/panic?when="+when+abort+" HTTP/1.0", "Connection: keep-alive"))}, few...)...)
			list = append(list, allWays(script{name: "panic-behind/" + name, steps: steps(send(get("/a/panic?when="+when+abort) + get("/b/echo") + tail))}, few...)...)
			list = append(list, allWays(script{name: "panic-large/" + name, steps: steps(send(post("/a/panic?when="+when+abort, strings.Repeat("x", 300000))))}, few...)...)
		}
	}
	return list
}

// connCases take the connection from the server.
func connCases() (list []script) {
	up := []string{"Connection: Upgrade", "Upgrade: lines"}
	list = append(list, each("hijack", []string{
		"", "early\n", "early\nmore\nquit\n", "quit\n", "no end", strings.Repeat("line\n", 1000) + "quit\n", strings.Repeat("x", 5000) + "\nquit\n", "\r\n\r\nquit\n", "GET / HTTP/1.1\r\n\r\nquit\n", "\x00\xff\nquit\n",
	}, nil, func(early string) []step {
		s := steps(send(get("/a/hijack", up...)+early), await("context"))
		if strings.HasSuffix(early, "quit\n") {
			return s // what comes later finds the connection closed, or nearly
		}
		return append(s, send("later\n"), await("later"), send("quit\n"))
	})...)
	for _, target := range []string{"hijack", "hijack?return=1", "hijack?before=write", "hijack?before=flush", "hijack?body=1", "hijack?read=2", "hijack?read=4&return=1", "hijack?body=1&return=1"} {
		for name, text := range map[string]string{
			"get": get("/a/" + target), "old": request("GET /a/" + target + " HTTP/1.0"), "post": post("/a/"+target, "body"), "post-early": post("/a/"+target, "body") + "early\n", "chunked": chunked("/a/"+target, "4\r\nbody\r\n0\r\n\r\n") + "early\n",
			"head": request("HEAD /a/"+target+" HTTP/1.1", "Host: e"), "close": get("/a/"+target, "Connection: close"), "part": strings.TrimSuffix(post("/a/"+target, "body"), "dy"), "upgrade": get("/a/"+target, up...), "connect": request("CONNECT /a/"+target+" HTTP/1.1", "Host: e"),
		} {
			told := "context"
			if strings.Contains(target, "body=1") && !strings.Contains(name, "part") {
				told = "body \"" // then the server's look-ahead has begun
			}
			s := steps(send(text), await(told), send("dy\nlater\n"), await("later"), pause(5e6), send("quit\n"), only(doHalf))
			if target == "hijack?body=1" && strings.Contains(text, "POST") {
				// The handler's next read meets the look-ahead behind the body, and panics; but
				// not where more of the client's bytes were there first, which is chance.
				if s = s[:2]; name == "part" {
					s = append(s, send("dy\nlater\n"))
				}
			}
			list = append(list, allWays(script{name: "hijack-" + name + "/" + label(target), steps: s}, few...)...)
		}
	}
	for name, texts := range map[string][]string{
		"none": {"", "a", "b", "."}, "early": {"abc", "d", "."}, "all": {"abc."}, "many": {strings.Repeat("r", 300), "."}, "half": {"ab"},
	} {
		s := steps(send(get("/a/raw", up...)+texts[0]), await("buffered"))
		for _, text := range texts[1:] {
			s = append(s, send(text), pause(3e6))
		}
		list = append(list, allWays(script{name: "raw/" + name, steps: append(s, only(doHalf))})...)
		list = append(list, allWays(script{name: "raw-split/" + name, steps: append(append(sends(get("/a/raw", up...)[:30], get("/a/raw", up...)[30:]+texts[0]), s[1:]...), only(doHalf))}, few...)...)
	}
	for name, text := range map[string]string{"early": "line\n", "none": ""} {
		list = append(list, allWays(script{name: "passon/" + name, steps: steps(send(get("/a/passon")+text), pause(20e6), send("more\n"))})...)
		list = append(list, allWays(script{name: "passon-behind/" + name, steps: steps(send(get("/a/echo")+get("/b/passon")+text), pause(20e6), send("more\n"))}, "new", "behind-other")...)
	}
	return list
}

// handshake is RFC 6455's opening, with its own key.
func handshake(x string) string {
	return get("/"+x+"/socket", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
}

// clientFrame is one whole masked frame (RFC 6455, section 5.2).
func clientFrame(op byte, payload string) string {
	f := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	key := []byte{0x37, 0xfa, 0x21, 0x3d}
	f = append(f, key...)
	for i := range len(payload) {
		f = append(f, payload[i]^key[i%4])
	}
	return string(f)
}

func socketCases() (list []script) {
	bye := clientFrame(8, "\x03\xe8")
	for name, texts := range map[string][]string{
		"hello": {"", clientFrame(1, "Hello"), bye}, "early": {clientFrame(1, "Hello"), clientFrame(2, "more"), bye}, "all": {clientFrame(1, "a") + clientFrame(9, "ping") + bye}, "half-frame": {clientFrame(1, "Hello")[:4], clientFrame(1, "Hello")[4:], bye},
		"large": {"", clientFrame(2, strings.Repeat("L", 70000)), bye}, "large-early": {clientFrame(2, strings.Repeat("E", 5000)), bye}, "many": {strings.Repeat(clientFrame(1, "m"), 500), bye}, "bytes": append(strings.Split(clientFrame(1, "bytes"), ""), bye), "end": {"", clientFrame(1, "x")[:3]},
	} {
		s := steps(send(handshake("a")+texts[0]), await("\r\n\r\n"))
		for _, text := range texts[1:] {
			s = append(s, send(text), pause(2e6))
		}
		if name == "end" {
			s = append(s, only(doHalf))
		}
		list = append(list, allWays(script{name: "socket/" + name, steps: s})...)
		list = append(list, allWays(script{name: "socket-split/" + name, steps: append(sends(handshake("a")[:50], handshake("a")[50:]+texts[0]), s[1:]...)}, few...)...)
	}
	return append(list, each("socket-refused", []string{
		get("/a/socket"), get("/a/socket", "Upgrade: websocket", "Connection: Upgrade"), get("/a/socket", "Upgrade: h2c", "Connection: Upgrade", "Sec-WebSocket-Key: x"), request("GET /a/socket HTTP/1.0", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"),
		post("/a/socket", "body", "Upgrade: websocket", "Connection: Upgrade"), get("/none", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"), get("/a/echo", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x"),
	}, few, whole)...)
}

// deadlineCases use http.ResponseController.
func deadlineCases() (list []script) {
	for name, text := range map[string]string{"whole": post("/a/readlimit", "some body"), "half": strings.TrimSuffix(post("/a/readlimit", "some body"), "body"), "chunked": chunked("/a/readlimit", "5\r\nabcde\r\n"), "get": get("/a/readlimit"), "old": request("POST /a/readlimit HTTP/1.0", "Content-Length: 9") + "some"} {
		list = append(list, allWays(script{name: "deadline-read/" + name, steps: steps(send(text), await("end.\n"), send(tail))})...)
	}
	for _, what := range []string{"read", "write"} {
		for name, text := range map[string]string{"get": get("/a/pastlimit?what="+what, "X-Case: $ID"), "post": post("/a/pastlimit?what="+what, "body", "X-Case: $ID"), "half": strings.TrimSuffix(post("/a/pastlimit?what="+what, "body", "X-Case: $ID"), "dy")} {
			list = append(list, allWays(script{name: "deadline-past-" + what + "/" + name, events: 1, steps: steps(send(text), await("end.\n"), send(tail))}, few...)...)
		}
	}
	list = append(list, script{name: "deadline-write/deaf", events: 1, coarse: true, steps: steps(only(doDeaf), send(get("/a/writelimit", "X-Case: $ID")), awaitEvent("over"), only(doHear))})
	list = append(list, script{name: "deadline-write/deaf-behind", events: 1, coarse: true, steps: steps(only(doDeaf), send(get("/b/echo")+get("/a/writelimit", "X-Case: $ID")), awaitEvent("over"), only(doHear))})
	for name, text := range map[string]string{"whole": post("/a/duplex", "some body"), "chunks": chunked("/a/duplex", "3\r\nabc\r\n0\r\n\r\n")} {
		list = append(list, allWays(script{name: "duplex/" + name, steps: whole(text)})...)
	}
	turns := steps(send(chunked("/a/duplex", "")), await("duplex"))
	for i := range 5 {
		turns = append(turns, send(fmt.Sprintf("5\r\nturn%d\r\n", i)), await(fmt.Sprintf("turn%d", i)))
	}
	list = append(list, allWays(script{name: "duplex/turns", steps: append(turns, send("0\r\n\r\n"), await("end.\n"), send(tail))})...)
	for n := range 3 {
		for _, size := range []int{9, 10, 11, 500, 300000} {
			text := post("/a/max?n=10", strings.Repeat("m", size))
			if n == 1 {
				text = chunked("/a/max?n=10", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, strings.Repeat("m", size)))
			} else if n == 2 {
				text = strings.Replace(text, "HTTP/1.1", "HTTP/1.0", 1)
			}
			list = append(list, allWays(script{name: fmt.Sprintf("max/%d-%d", n, size), steps: whole(text)})...)
		}
	}
	return list
}
