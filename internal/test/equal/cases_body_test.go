package equal

import (
	"fmt"
	"strings"
)

// framing sends a POST whose fields and body are as they stand, and one more
// request behind it, in the same segment or once there is an answer.
func framing(version, fields, body string, together bool) []step {
	text := "POST /a/echo " + version + "\r\nHost: e\r\n" + fields + "\r\n" + body
	if together {
		return steps(send(text + tail))
	}
	return whole(text)
}

func lengthCases() (list []script) {
	table := []string{
		"", "Content-Length: 4", "Content-Length: 0", "Content-Length: -1", "Content-Length: +4", "Content-Length:  4", "Content-Length: 4 ", "Content-Length: 4,4", "Content-Length: 4, 4", "Content-Length: 4,5",
		"Content-Length: 4\r\nContent-Length: 4", "Content-Length: 4\r\nContent-Length: 5", "Content-Length: 4\r\ncontent-length: 4", "Content-Length: 0x4", "Content-Length: 4a", "Content-Length:", "Content-Length: \t4", "Content-Length: 04",
		"Content-Length: 99999999999999999999", "Content-Length: 9223372036854775807", "Content-Length: 9223372036854775808", "Content-Length: 1e0", "Content-Length: 4\r\n ", "Content-Length: 4;x", "Content-Length: \"4\"",
		"Content-Length: 4\r\nContent-Length: +4", "Content-Length: 4\r\nContent-Length:", "Content-Length : 4", "Content-Length\t: 4", " Content-Length: 4", "Content_Length: 4", "Content-Length: 4\x00", "Content-Length: ４",
		"Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: CHUNKED", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, identity",
		"Transfer-Encoding: chunked;q=1", "Transfer-Encoding:  chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
		"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: ", "Transfer-Encoding: gzip", "Transfer-Encoding : chunked", " Transfer-Encoding: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: \"chunked\"",
		"Transfer-Encoding: chunked ", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: chunked\x00", "Transfer-Encoding: \x0bchunked", "Transfer_Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked",
		"Transfer-Encoding: chunked\r\nContent-Length: 4", "Content-Length: 4\r\nTransfer-Encoding: chunked", "Content-Length: 100\r\nTransfer-Encoding: chunked", "Content-Length: -1\r\nTransfer-Encoding: chunked",
		"Content-Length: 4\r\nTransfer-Encoding: identity", "Content-Length: 4\r\nTransfer-Encoding: xchunked", "Content-Length: 4\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 0\r\nTransfer-Encoding: chunked",
	}
	for _, fields := range table {
		body := "body"
		if strings.Contains(strings.ToLower(fields), "transfer") {
			body = "4\r\nbody\r\n0\r\n\r\n"
		}
		line := fields
		if line != "" {
			line += "\r\n"
		}
		list = append(list, allWays(script{name: "length/" + label(fields), steps: framing("HTTP/1.1", line, body, false)}, few...)...)
		list = append(list, allWays(script{name: "length-together/" + label(fields), steps: framing("HTTP/1.1", line, body, true)}, few...)...)
		list = append(list, allWays(script{name: "length-1.0/" + label(fields), steps: framing("HTTP/1.0", line, body, false)}, "new", "other")...)
		list = append(list, allWays(script{name: "length-get/" + label(fields), steps: steps(send("GET /a/echo HTTP/1.1\r\nHost: e\r\n" + line + "\r\n" + body + tail))}, "new", "behind-other")...)
	}
	return list
}

func chunkCases() []script {
	table := []string{
		"0\r\n\r\n", "4\r\nbody\r\n0\r\n\r\n", "4\r\nbo\r\n\r\n0\r\n\r\n", "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", "4;ext\r\nbody\r\n0\r\n\r\n", "4;a=b;c=\"d\"\r\nbody\r\n0;e\r\n\r\n", "4 \r\nbody\r\n0\r\n\r\n", "4\t\r\nbody\r\n0 \r\n\r\n",
		" 4\r\nbody\r\n0\r\n\r\n", "04\r\nbody\r\n0\r\n\r\n", "0000000000000004\r\nbody\r\n0\r\n\r\n", "00000000000000004\r\nbody\r\n0\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n", "0x4\r\nbody\r\n0\r\n\r\n", "+4\r\nbody\r\n0\r\n\r\n",
		"-4\r\nbody\r\n0\r\n\r\n", "g\r\nbody\r\n0\r\n\r\n", "\r\nbody\r\n0\r\n\r\n", ";\r\nbody\r\n0\r\n\r\n", "4\nbody\n0\n\n", "4\r\nbody\n0\r\n\r\n", "4\nbody\r\n0\r\n\r\n", "4\r\nbody0\r\n\r\n", "4\r\nbodyx\r\n0\r\n\r\n", "4\r\nbodyxx0\r\n\r\n",
		"4\r\nbo\r\n0\r\n\r\n", "4\rbody\r0\r\r", "4\r\r\nbody\r\n0\r\n\r\n", "4;\x00\r\nbody\r\n0\r\n\r\n", "4;\n\r\nbody\r\n0\r\n\r\n", "4;\r\r\nbody\r\n0\r\n\r\n", "ffffffffffffffff\r\nbody", "fffffffffffffffff\r\nbody", "7fffffffffffffff\r\nbody\r\n0\r\n\r\n",
		"0\r\nT: 1\r\n\r\n", "4\r\nbody\r\n0\r\nT: 1\r\nU: 2\r\n\r\n", "0\r\nT : 1\r\n\r\n", "0\r\nT\r\n\r\n", "0\r\n T: 1\r\n\r\n", "0\r\nT: 1\r\n 2\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nT: 1\n\n", "0\n\n",
		"0\r\n\n", "0\r\nT: \x00\r\n\r\n", "0\r\nHost: f\r\nTrailer: x\r\n\r\n", "0\r\n" + strings.Repeat("T: "+strings.Repeat("t", 90)+"\r\n", 50) + "\r\n", "0;" + strings.Repeat("e", 5000) + "\r\n\r\n", "4;" + strings.Repeat("e", 5000) + "\r\nbody\r\n0\r\n\r\n",
		strings.Repeat("1;"+strings.Repeat("e", 50)+"\r\nx\r\n", 400) + "0\r\n\r\n", strings.Repeat("1\r\nx\r\n", 3000) + "0\r\n\r\n", "1000\r\n" + strings.Repeat("x", 4096) + "\r\n0\r\n\r\n", "4\r\nbody\r\n", "4\r\nbo", "4\r\n", "4", "", "0\r\n", "0\r\nT: 1\r\n", "x",
		"0\r\nT: " + strings.Repeat("t", 5000) + "\r\n\r\n",
	}
	list := each("chunk", table, few, func(chunks string) []step { return whole(chunked("/a/echo", chunks)) })
	list = append(list, each("chunk-declared", table[35:50], few, func(chunks string) []step { return whole(chunked("/a/echo", chunks, "Trailer: T, U")) })...)
	list = append(list, each("chunk-together", table, []string{"new", "behind-other"}, func(chunks string) []step { return steps(send(chunked("/a/echo", chunks) + tail)) })...)
	list = append(list, each("chunk-half", table, []string{"new", "other", "behind-other"}, func(chunks string) []step { return steps(send(chunked("/a/echo", chunks)), only(doHalf)) })...)
	list = append(list, each("chunk-unread", table, []string{"new", "other", "behind-other"}, func(chunks string) []step { return whole(chunked("/a/head", chunks)) })...)
	list = append(list, each("chunk-parts", table[:30], []string{"new", "behind-other"}, func(chunks string) []step {
		return append(sends(chunked("/a/echo", ""), chunks[:len(chunks)/3], chunks[len(chunks)/3:len(chunks)*2/3], chunks[len(chunks)*2/3:]), await("\r\n\r\n"), send(tail))
	})...)
	return list
}

func expectCases() (list []script) {
	values := []string{"100-continue", "100-Continue", " 100-continue ", "100-continue, x", "x", "", "100-continue\r\nExpect: 100-continue", "200-ok"}
	for _, value := range values {
		for _, handler := range []string{"echo", "head", "half", "late", "early", "closebody", "nothing", "hijack", "informs", "max", "panic", "stream", "duplex", "slowread"} {
			if value != "100-continue" && handler != "echo" && handler != "head" {
				continue
			}
			head := request("POST /a/"+handler+" HTTP/1.1", "Host: e", "Content-Length: 9", "Expect: "+value)
			chunks := request("POST /a/"+handler+" HTTP/1.1", "Host: e", "Transfer-Encoding: chunked", "Expect: "+value)
			name := label(value) + "-" + handler
			list = append(list, allWays(script{name: "expect-early/" + name, steps: whole(head + "some body")})...)
			list = append(list, allWays(script{name: "expect-wait/" + name, steps: steps(send(head), await("\r\n\r\n"), send("some body"), await("end.\n"), send(tail))})...)
			list = append(list, allWays(script{name: "expect-never/" + name, steps: steps(send(head), await("\r\n\r\n"), only(doHalf))}, few...)...)
			list = append(list, allWays(script{name: "expect-instead/" + name, steps: steps(send(head), await("\r\n\r\n"), send(tail))}, few...)...)
			list = append(list, allWays(script{name: "expect-part/" + name, steps: steps(send(head), await("\r\n\r\n"), send("some"), pause(5e6), send(" body"), await("end.\n"), send(tail))}, few...)...)
			list = append(list, allWays(script{name: "expect-chunked/" + name, steps: steps(send(chunks), await("\r\n\r\n"), send("9\r\nsome body\r\n0\r\n\r\n"), await("end.\n"), send(tail))}, few...)...)
			list = append(list, allWays(script{name: "expect-close/" + name, steps: steps(send(strings.Replace(head, "Host", "Connection: close\r\nHost", 1)), await("\r\n\r\n"), send("some body"))}, "new", "behind-other")...)
		}
		list = append(list, allWays(script{name: "expect-get/" + label(value), steps: whole(get("/a/echo", "Expect: "+value))})...)
		list = append(list, allWays(script{name: "expect-1.0/" + label(value), steps: whole(request("POST /a/echo HTTP/1.0", "Content-Length: 4", "Expect: "+value) + "body")})...)
		list = append(list, allWays(script{name: "expect-none/" + label(value), steps: steps(send(request("POST /none HTTP/1.1", "Host: e", "Content-Length: 9", "Expect: "+value)), await("\r\n\r\n"), send("some body"), send(tail))})...)
		list = append(list, allWays(script{name: "expect-zero/" + label(value), steps: whole(request("POST /a/echo HTTP/1.1", "Host: e", "Content-Length: 0", "Expect: "+value))}, few...)...)
	}
	return list
}

// bodyCases are bodies that handlers read, half read and leave, of sizes around
// what a server discards.
func bodyCases() (list []script) {
	for _, n := range []int{1, 5, 6, 100, 4095, 4096, 4097, 10000, 65536, 262143, 262144, 262145, 262149, 262150, 300000, 600000} {
		body := strings.Repeat("0123456789abcdef", n/16+1)[:n]
		for _, target := range []string{"/a/echo", "/a/head", "/a/half?n=5", "/a/half?n=5000", "/a/closebody", "/a/early", "/a/nothing", "/a/max?n=10", "/a/max?n=100000", "/none", "/a/get", "/a/tree"} {
			name := fmt.Sprintf("%d-%s", n, label(target))
			ways := []string{"new", "other", "behind-other"}
			list = append(list, allWays(script{name: "body/" + name, steps: whole(post(target, body))}, ways...)...)
			list = append(list, allWays(script{name: "body-together/" + name, steps: steps(send(post(target, body) + tail))}, ways...)...)
			chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, body)
			list = append(list, allWays(script{name: "body-chunked/" + name, steps: whole(chunked(target, chunks))}, ways...)...)
			if n < 100000 && n > 10 {
				list = append(list, allWays(script{name: "body-later/" + name, steps: steps(send(post(target, body)[:len(post(target, body))-n+3]), pause(20e6), send(body[3:]), await("\r\n\r\n"), send(tail))}, ways...)...)
			}
		}
	}
	return list
}

// smuggleCases are bodies that look like requests, where two readers may differ.
func smuggleCases() []script {
	inner := get("/b/echo?smuggled")
	table := []string{
		"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", len(inner)+5, inner),
		"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + strings.Repeat("x", 0x5c) + "\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + inner,
		"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + inner, "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner, "Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner,
		"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner, "X: x\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner, "X: x\r\nContent-Length: 5\nContent-Length: 6\r\n\r\nhello" + inner,
		"Content-Length: 5\r\n\r\nhello\r\n" + inner, "Content-Length: 5\r\n\r\nhello\r\n\r\n" + inner, "Content-Length: 5\r\n\r\nhello\n" + inner, "Content-Length: 5\r\n\r\nhello " + inner, "Content-Length: 5\r\n\r\nhellox" + inner, "Content-Length: 5\r\n\r\nhello" + inner,
		"Content-Length: 0\r\n\r\n" + inner, "\r\n" + inner, "\r\n\r\n" + inner, "\r\n\r\n\r\n\r\n" + inner, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n" + inner, "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n" + inner,
		"Transfer-Encoding: chunked\r\n\r\n5;\n0\r\n\r\nhello\r\n0\r\n\r\n" + inner, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n" + inner, "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00000000000000000\r\n\r\n" + inner, "Content-Length: 10\r\n\r\n" + inner,
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(inner), inner), "Content-Length: 1\r\nConnection: Content-Length\r\n\r\nG" + inner, "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, "Upgrade: x\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n" + inner,
	}
	var list []script
	for _, m := range []string{"POST", "GET", "HEAD"} {
		for _, handler := range []string{"/a/echo", "/a/head", "/none"} {
			list = append(list, each("smuggle-"+m+strings.ReplaceAll(handler, "/", "-"), table, []string{"new", "behind-other"}, func(text string) []step {
				return steps(send(m + " " + handler + " HTTP/1.1\r\nHost: e\r\n" + text + tail))
			})...)
		}
	}
	return list
}
