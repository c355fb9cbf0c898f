package equal

import (
	"fmt"
	"strings"
)

func versionCases() []script {
	table := []string{
		"HTTP/0.9", "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.9", "HTTP/1.10", "HTTP/2.0", "HTTP/2", "HTTP/3.0", "HTTP/11.1",
		"HTTP/01.1", "http/1.1", "HTTP/1.", "HTTP/.1", "HTTP/1,1", "HTP/1.1", "HTTP/1.1 ", " HTTP/1.1", "HTTPS/1.1", "HTTP/-1.1",
		"HTTP/+1.1", "HTTP/1.1x", "", "HTTP/", "HTTP/A.B", "HTTP/1.1\t", "\tHTTP/1.1", "HTTP/0.0", "HTTP/1 .1",
	}
	list := each("version", table, nil, func(v string) []step {
		return whole(request("GET /a/echo "+v, "Host: e"))
	})
	list = append(list, each("version-nohost", []string{"HTTP/1.0", "HTTP/1.1", "HTTP/1.2"}, nil, func(v string) []step {
		return whole(request("GET /a/echo " + v))
	})...)
	list = append(list, each("version-simple", []string{"GET /a/echo\r\n", "GET /a/echo\r\n\r\n", "GET\r\n\r\n", "\r\n\r\n", "GET /none\r\n\r\n"}, few, func(v string) []step {
		return steps(send(v), only(doHalf))
	})...)
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	return append(list, each("preface", []string{
		preface, preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "PRI * HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n", "PRI * HTTP/1.1\r\nHost: e\r\n\r\n",
		"PRI / HTTP/2.0\r\n\r\n", "PRI /a/echo HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\nHost: e\r\n\r\nSM\r\n\r\n", "pri * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /a/echo HTTP/1.1\r\nHost: e\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-OpenSSH\r\n",
	}, nil, func(v string) []step { return steps(send(v), only(doHalf)) })...)
}

func methodCases() []script {
	table := []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "Get", "FOO", "foo", "odd", "M-SEARCH",
		"!#$%&'*+-.^_`|~", "G ET", "GET:", "GÉT", "", " GET", "GET ", "GET\t", "\tGET", "G\x00T", "G(T", "GET,", strings.Repeat("M", 300), "PRI", "QUERY",
	}
	list := each("method", table, nil, func(m string) []step { return whole(request(m+" /a/echo HTTP/1.1", "Host: e")) })
	list = append(list, each("method-none", table, few, func(m string) []step { return whole(request(m+" /none HTTP/1.1", "Host: e")) })...)
	list = append(list, each("method-body", table[:15], few, func(m string) []step {
		return whole(request(m+" /a/echo HTTP/1.1", "Host: e", "Content-Length: 4") + "body")
	})...)
	list = append(list, each("method-get", table[:15], few, func(m string) []step { return whole(request(m+" /a/get HTTP/1.1", "Host: e")) })...)
	list = append(list, each("connect", []string{
		"CONNECT e:443", "CONNECT e", "CONNECT /a/connect", "CONNECT /a/echo", "CONNECT //a/echo", "CONNECT *", "CONNECT http://e/a/echo", "CONNECT /a/../a/echo", "CONNECT /a/tree",
		"CONNECT ?x", "CONNECT [::1]:80", "CONNECT e:443/a/echo",
	}, nil, func(l string) []step { return whole(request(l+" HTTP/1.1", "Host: e")) })...)
	for _, v := range []string{"HTTP/1.1", "HTTP/1.0"} {
		list = append(list, each("star-"+v[5:], []string{
			"OPTIONS *", "GET *", "HEAD *", "POST *", "FOO *", "DELETE *", "options *", "OPTIONS **", "OPTIONS /*", "GET /*", "OPTIONS /a/echo", "OPTIONS http://e/*", "OPTIONS http://e",
			"OPTIONS *?x", "OPTIONS %2a",
		}, nil, func(l string) []step { return whole(request(l+" "+v, "Host: e")) })...)
	}
	return append(list, each("star-body", []string{
		request("OPTIONS * HTTP/1.1", "Host: e", "Content-Length: 4") + "body", request("OPTIONS * HTTP/1.1", "Host: e", "Content-Length: 5000") + strings.Repeat("b", 5000),
		request("OPTIONS * HTTP/1.1", "Host: e", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", request("OPTIONS * HTTP/1.1", "Host: e", "Content-Length: 4", "Expect: 100-continue"),
		request("OPTIONS * HTTP/1.1", "Host: e", "Connection: close"), request("OPTIONS * HTTP/1.1"), request("OPTIONS * HTTP/1.0", "Connection: keep-alive"),
	}, nil, whole)...)
}

func targetCases() []script {
	table := []string{
		"/a/echo?", "/a/echo?x=1&y=%2f;z", "/a/echo?%zz", "/a/echo?a=b=c&&", "/a/echo#frag", "/a/echo?x#y", "/a/rest/a%2Fb", "/a/rest/%2e%2e/x", "/a/rest/../x",
		"/a/rest/./x", "/a/rest//x", "//a/echo", "///a/echo", "/a//echo", "/a/rest/x%zz", "/a/rest/%", "/a/rest/%00", "/a/rest/é", "/a/rest/\x80\xff", "/a/rest/ x",
		"/a/rest/x\ty", "http://e/a/echo", "http://other:81/a/echo", "HTTP://E/a/echo", "https://e/a/echo", "http://e", "http://e?x", "http:///a/echo", "http:/a/echo",
		"http:a/echo", "//e/a/echo", "e:80", "e", "a/echo", "?x", "%2fa/echo", "**", "http://user:pw@e/a/echo", "http://[::1]/a/echo", "http://[::1%25en0]:80/a/echo",
		"http://e:port/a/echo", "ftp://e/a/echo", "mailto:x@y", "/a/echo;p=1", "/a/tree", "/a/tree/", "/a/tree?x=1", "/a/tree/../tree/x?y=%2F", "/a/exact", "/a/exact/", "/a/exact/x",
		"/A/echo", "/a/id/", "/a/id/x", "/a/id/x/", "/a/id/%2F", "/a/id/%2e", "/a/id/..", "/a/get", "/a/echo/", "/", "", "/a", "/a/", "/a/rest", "/a/rest/" + strings.Repeat("x", 1000),
		"/a/rest/" + strings.Repeat("y/", 4000), "/a/echo?" + strings.Repeat("q", 20000), "/a/rest/" + strings.Repeat("%2F", 300), "/a/rest/\x7f", "/a/rest/\"<>\\^`{|}", "/a/rest/x?a b",
		"/a/rest/%C3%A9", "/a/rest/a+b%20c", "/a/\x01", "/a/rest/'();:@&=+$,", "http://e/a/rest/../echo", "http://e//a/echo", "http://e/a/tree", "/.", "/..", "/../a/echo", "/%2e%2e/a/echo",
		"/b/tree", "/none/../a/echo", "/none//x", "http://a.example/host", "http://a.example:80/host", "http://A.EXAMPLE/host", "/host",
	}
	list := each("target", table, nil, func(target string) []step { return whole(get(target)) })
	list = append(list, each("target-post", table[:60], []string{"new", "other", "behind-other"}, func(target string) []step { return whole(post(target, "some body")) })...)
	return append(list, each("host", []string{
		"", "Host:\r\n", "Host: \r\n", "Host: a.example\r\n", "Host: A.Example\r\n", "Host: a.example:80\r\n", "Host: a.example.\r\n", "Host: a.example:\r\n", "Host: e\r\nHost: e\r\n", "Host: e\r\nHost: f\r\n",
		"Host: e\r\nhost: e\r\n", "Host: e, f\r\n", "Host: e f\r\n", "Host: e/f\r\n", "Host: e?f\r\n", "Host: user@e\r\n", "Host: [::1]\r\n", "Host: [::1]:80\r\n", "Host: [::1\r\n", "Host: \x80\r\n", "Host: é\r\n",
		"Host: e\x00\r\n", "Host: e:99999\r\n", "Host: e:x\r\n", "Host:e\r\n", "Host:\te\t\r\n", "Host: e \r\n", "Host : e\r\n", " Host: e\r\n", "Host: http://e\r\n", "Host: %65\r\n", "Host: <e>\r\n", "Host: b.example\r\n",
	}, nil, func(host string) []step {
		return whole("GET " + map[bool]string{true: "/host", false: "/a/echo"}[strings.Contains(strings.ToLower(host), ".example")] + " HTTP/1.1\r\n" + host + "\r\n")
	})...)
}

// lineCases are whole heads that are malformed, or nearly.
func lineCases() []script {
	table := []string{
		"GET /a/echo HTTP/1.1\nHost: e\n\n", "GET /a/echo HTTP/1.1\r\nHost: e\n\r\n", "GET /a/echo HTTP/1.1\nHost: e\r\n\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\n\n", "GET /a/echo HTTP/1.1\rHost: e\r\r",
		"GET /a/echo HTTP/1.1\r\r\nHost: e\r\n\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\r\n\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\n\r\r\n", "\r\nGET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n",
		"\r\n\r\n\r\nGET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n", "\nGET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n", "\rGET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n", " GET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n",
		"GET  /a/echo HTTP/1.1\r\nHost: e\r\n\r\n", "GET /a/echo  HTTP/1.1\r\nHost: e\r\n\r\n", "GET /a/echo HTTP/1.1 x\r\nHost: e\r\n\r\n", "GET\t/a/echo\tHTTP/1.1\r\nHost: e\r\n\r\n", "GET /a/echo\r\nHost: e\r\n\r\n",
		"GET\r\nHost: e\r\n\r\n", "GET /a/echo HTTP/1.1\r\n\r\nHost: e\r\n\r\n", ": x\r\n\r\n", "\x00\r\n\r\n", "\x00\x00\x00\x00", "HTTP/1.1 200 OK\r\n\r\n", "GET /a/echo HTTP/1.1\x00\r\nHost: e\r\n\r\n",
		"GET /a/ec\x00ho HTTP/1.1\r\nHost: e\r\n\r\n", "GET /a/echo HTTP/1.1\r\n Host: e\r\n\r\n", "GET /a/echo HTTP/1.1\r\n\tHost: e\r\n\r\n", "GET /a/echo HTTP/1.1\r\n: e\r\nHost: e\r\n\r\n",
		"GET /a/echo HTTP/1.1\r\nHost e\r\n\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\nX\r\n\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\n \r\n\r\n", "GET /a/echo HTTP/1.1 \r\nHost: e\r\n\r\n", "\xef\xbb\xbfGET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n",
		"GET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n\n\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\n\r\nx", "GET /a/echo HTTP/1.1\r\nHost: e\r\n\r\n\x00",
		"<xml/>\r\n\r\n", "quit\r\n", "GET /a/echo HTTP/1.1\r\nHost: e\r\n", "GET /a/echo HTTP/1.1\r\nHost: e", "GET /a/echo HTTP/1.1", "GET", "G",
	}
	list := each("line", table, nil, func(text string) []step { return whole(text) })
	return append(list, each("line-half", table, few, func(text string) []step { return steps(send(text), only(doHalf)) })...)
}

// fieldCases are single header lines in an otherwise good head.
func fieldCases() []script {
	table := []string{
		"X: y", "X:y", "X:", "X: ", "X:\ty\t", "X: y z", "x-lower: y", "X-UPPER: Y", "X_under: y", "X: a\r\nX: b", "X: a\r\nx: b", "X : y", "X\t: y", " X: y", "X y", "X", ":y", ": y", "X: y\r\n z", "X: y\r\n\tz",
		"X: y\r\n \r\n z", "X: a\x00b", "X: a\rb", "X: a\nY: b", "X: a\n b", "X: \x01", "X: \x7f", "X: \x80", "X: é", "Xé: y", "X(: y", "X\x00: y", "X@y: z", "X/y: z", "X[]: y", "X: \"a\\\"b\"", "X: " + strings.Repeat("v", 3000),
		strings.Repeat("N", 2000) + ": v", "Connection: close", "Connection: keep-alive", "Connection: Close", "Connection: x, close", "Connection: close, x", "Connection: x\r\nConnection: close", "Connection: X\r\nX: gone",
		"Connection: upgrade\r\nUpgrade: x", "Keep-Alive: 300", "Proxy-Connection: close", "Proxy-Authorization: x", "TE: trailers", "TE: chunked", "Upgrade: websocket", "Trailer: X", "Trailer: Content-Length",
		"Cookie: a=b; c=d", "Cookie: a\r\nCookie: b", "Authorization: Basic eDp5", "Range: bytes=0-3", "If-Modified-Since: x", "Accept-Encoding: gzip", "Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: f",
		"Via: 1.1 x", "Max-Forwards: 0", "Content-Type: text/plain", "Content-Encoding: gzip", "User-Agent:", "User-Agent: x", "Date: x", "Server: x", "Pragma: no-cache", "Cache-Control: no-store", "Referer: x", "Origin: null",
		"Early-Data: 1", "Priority: u=1", "Sec-Fetch-Mode: x", "Transfer-Encoding:", "Content-Length:", "Expect:", "Expect: 100-continue", "Expect: x", "HTTP2-Settings: x", "1: 2", "-: -", "X: y\r\n\r\nZ: w",
		"X: " + strings.Repeat(" ", 500) + "y", strings.TrimSuffix(strings.Repeat("X: y\r\n", 200), "\r\n"),
	}
	list := each("field", table, nil, func(line string) []step { return whole(get("/a/echo", line)) })
	list = append(list, each("field-1.0", table[38:60], few, func(line string) []step { return whole(request("GET /a/echo HTTP/1.0", line)) })...)
	return append(list, each("field-post", table, []string{"new", "other", "behind-other"}, func(line string) []step { return whole(post("/a/echo", "body", line)) })...)
}

// padded is a head of exactly n bytes, of one long field or of many.
func padded(n int, many bool, target string) string {
	head := get(target)
	rest := n - len(head)
	if many {
		for rest > 110 {
			head = head[:len(head)-2] + "F: " + strings.Repeat("f", 95) + "\r\n\r\n"
			rest -= 100
		}
	}
	return head[:len(head)-2] + "P: " + strings.Repeat("p", rest-5) + "\r\n\r\n"
}

func sizeCases() (list []script) {
	for _, many := range []bool{false, true} {
		for _, n := range []int{1000, 2047, 2048, 4000, 4090, 4094, 4095, 4096, 4097, 4098, 4100, 5000, 8191, 8192, 8193, 12288, 16384, 16385, 32768, 60000, 65535, 65536, 65537, 71680} {
			text := padded(n, many, "/a/echo")
			list = append(list, allWays(script{name: fmt.Sprintf("size/%d-%v", n, many), steps: whole(text)}, "new", "own", "other", "behind-other")...)
			if n%1000 == 0 || n == 4096 {
				parts := append([]step{send(text[:n/3]), pause(3e6), send(text[n/3 : n/2]), pause(3e6)}, whole(text[n/2:])...)
				list = append(list, allWays(script{name: fmt.Sprintf("size-parts/%d-%v", n, many), steps: parts}, few...)...)
			}
		}
		for _, about := range []int{8192, 12288} {
			for d := -4; d <= 4; d++ {
				for _, far := range []int{1, 100, 1000} {
					n := about + d*far
					list = append(list, allWays(script{name: fmt.Sprintf("limit/%d-%d-%v", n, far, many), tight: true, steps: whole(padded(n, many, "/a/echo"))}, few...)...)
				}
			}
		}
	}
	for _, n := range []int{1<<20 - 100, 1 << 20, 1<<20 + 4000, 1<<20 + 4096, 1<<20 + 4097, 1<<20 + 9000} {
		list = append(list, allWays(script{name: fmt.Sprintf("size-mib/%d", n), steps: whole(padded(n, false, "/a/echo"))}, "new", "own", "other")...)
	}
	for _, text := range []string{strings.Repeat("x", 13000), "GET /" + strings.Repeat("x", 13000), "GET /a/echo HTTP/1.1\r\nHost: e\r\n" + strings.Repeat("y", 13000), strings.Repeat("\r\n", 7000)} {
		list = append(list, allWays(script{name: "limit-no-end/" + label(text), tight: true, steps: steps(send(text))}, few...)...)
	}
	return list
}

// muxCases are the patterns that several handlers share.
func muxCases() []script {
	var table []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		for _, path := range []string{"/m/one", "/m/tree", "/m/tree/x", "/m/tree/deep/7", "/m/by/fixed", "/m/by/7", "/m/sub", "/m/sub/x", "/m/three", "/m/deep/er", "/m/deep/er/", "/m/deep/x", "/m/none", "/m//one", "/m/by/../one", "/m/hosts"} {
			table = append(table, m+" "+path)
		}
	}
	list := each("mux", table, []string{"new", "other", "behind-other"}, func(line string) []step { return whole(request(line+" HTTP/1.1", "Host: e", "Content-Length: 0")) })
	for _, host := range []string{"a.example", "b.example", "c.example", "b.example:80", "B.EXAMPLE"} {
		list = append(list, allWays(script{name: "mux-host/" + label(host), steps: whole(request("GET /m/hosts HTTP/1.1", "Host: "+host))}, few...)...)
	}
	return list
}
