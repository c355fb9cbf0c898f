package equal

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/net/http2"
)

// h2cases are all of them.
func h2cases() (all []h2case) {
	add := func(c h2case) {
		if c.method == "" {
			c.method = "GET"
		}
		if c.name == "" {
			c.name = fmt.Sprintf("h2/%s%s", c.method, c.target)
			if n := len(strings.Join(c.body, "")); c.body != nil {
				c.name += fmt.Sprintf("+%d in %d", n, len(c.body))
			}
			if c.trailers != nil {
				c.name += "+trailers"
			}
			if c.fields != nil {
				c.name += " " + fmt.Sprint(c.fields)
			}
		}
		all = append(all, c)
	}
	for _, c := range slicesOf(h2answers, h2bodies, h2requests, h2ends) {
		add(c)
	}
	return all
}

func slicesOf(families ...func() []h2case) (all []h2case) {
	for _, f := range families {
		all = append(all, f()...)
	}
	return all
}

// h2answers are of what a handler does to its answer.
func h2answers() (list []h2case) {
	for _, target := range []string{
		"/a/nothing", "/a/stream", "/a/stream?n=50", "/a/flush", "/a/big", "/a/big?n=4096&p=4096", "/a/big?n=4097&p=100", "/a/big?n=1000000&p=9000",
		"/a/big?n=300000&p=300000", "/a/big?n=100&length=1", "/a/big?n=100000&length=1", "/a/trailers", "/a/trailers?flush=1", "/a/informs", "/a/informs?continue=1",
		"/a/file", "/a/file?n=100000", "/a/file?n=100000&copy=1", "/a/offers", "/none", "/a/exact", "/a/tree", "/m/one", "/m/hosts", "/a//tree", "/a/fields?Connection=close",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			list = append(list, h2case{method: method, target: target, leaves: strings.HasSuffix(target, "?Connection=close")})
		}
	}
	for _, query := range []string{
		"Date=nil", "Content-Type=text/x", "Content-Type=nil", "Content-Encoding=gzip", "X-A=1&X-A=2", "lower-case=1", "Content-Length=12", "Content-Length=bad",
		"Transfer-Encoding=chunked", "Upgrade=x", "Keep-Alive=x", "Connection=x", "Trailer=X-T&X-T=1", "Bad%20Name=1", "X-Bad=a%0ab", ":status=100", "Server=x", "Set-Cookie=a&Set-Cookie=b",
	} {
		list = append(list, h2case{target: "/a/fields?" + query})
	}
	for _, query := range []string{"n=10&each=5", "n=10&each=10", "n=5&each=10", "n=5&each=3&writes=3", "n=0&each=1", "n=9000&each=5000&writes=3"} {
		for _, method := range []string{"GET", "HEAD"} {
			list = append(list, h2case{method: method, target: "/a/declared?" + query, events: true})
		}
	}
	for _, code := range []int{200, 201, 204, 205, 206, 299, 301, 304, 400, 404, 418, 500, 599, 999} {
		for _, more := range []string{"", "&body=x", "&body=x&length=1", "&length=0", "&length=7"} {
			list = append(list, h2case{target: fmt.Sprintf("/a/status?code=%d%s", code, more), events: true})
		}
	}
	for _, when := range []string{"status", "write", "length", "flush"} {
		list = append(list, h2case{target: "/a/panic?when=" + when})
	}
	for _, when := range []string{"", "header", "inform", "status", "write", "flush", "body"} {
		list = append(list, h2case{target: "/a/panic?abort=1&when=" + when})
	}
	for when, more := range map[string]string{"": "", "header": ", x-left: over", "body": "", "nil": ""} {
		list = append(list, h2case{target: "/a/panic?when=" + when, differs: func(string) string { return fmt.Sprintf(h2internalError, more) }})
	}
	return list
}

// h2bodies are of what a client sends behind its head.
func h2bodies() (list []h2case) {
	many := strings.Split(strings.Repeat(strings.Repeat("0123456789abcdef", 200)+"|", 60), "|")
	for _, body := range [][]string{{""}, {"a"}, {"a", ""}, {"hello ", "world"}, many[:60]} {
		for _, target := range []string{"/a/echo", "/b/half", "/a/head", "/c/early", "/a/max?n=5", "/a/max?n=100", "/a/slowread", "/a/late", "/a/informs"} {
			if target == "/a/slowread" && len(body) > 10 {
				continue
			}
			list = append(list, h2case{method: "POST", target: target, body: body})
		}
	}
	for _, c := range []h2case{
		{body: []string{"hello"}, fields: []string{"content-length", "5"}},
		{body: []string{"hello"}, fields: []string{"content-length", "6"}},
		{body: []string{"hello"}, fields: []string{"content-length", "4"}},
		{body: []string{"hello"}, fields: []string{"content-length", "x"}},
		{body: []string{""}, fields: []string{"content-length", "0"}},
		{fields: []string{"content-length", "5"}},
		{fields: []string{"content-length", "0"}},
		{body: []string{"hello"}, fields: []string{"expect", "100-continue"}},
		{body: []string{"hello"}, fields: []string{"expect", "something"}},
		{fields: []string{"expect", "100-continue"}},
		{fields: []string{"expect", "100-continue", "content-length", "0"}},
		{body: []string{"hello"}, fields: []string{"trailer", "x-t, x-u"}, trailers: []string{"x-t", "1", "x-v", "2"}},
		{body: []string{"hello"}, trailers: []string{"x-t", "1"}},
		{fields: []string{"trailer", "x-t"}, trailers: []string{"x-t", "1"}},
		{body: []string{"hello"}, fields: []string{"trailer", "x-t"}},
		{body: []string{"hello"}, trailers: []string{":path", "/"}},
	} {
		c.method, c.target = "POST", "/a/echo"
		list = append(list, c)
	}
	list = append(list,
		h2case{name: "h2/expect, awaited", method: "POST", target: "/a/echo", fields: []string{"expect", "100-continue", "content-length", "5"}, open: true, do: func(c *h2conn) {
			c.until(func() bool { return len(c.log) > 0 })
			c.fr.WriteData(1, true, []byte("hello"))
		}},
		h2case{name: "h2/expect, not read", method: "POST", target: "/a/head", fields: []string{"expect", "100-continue", "content-length", "5"}, open: true},
		h2case{name: "h2/expect, no body, not read", method: "POST", target: "/a/head", fields: []string{"expect", "100-continue"}},
		h2case{name: "h2/duplex", method: "POST", target: "/a/duplex", do: func(c *h2conn) {
			for i := range 20 {
				c.fr.WriteData(1, false, fmt.Appendf(nil, "piece %02d", i))
				want := fmt.Sprintf("got \"piece %02d\"\n", i)
				c.until(func() bool { return strings.Contains(string(c.data), want) })
			}
			c.fr.WriteData(1, true, nil)
		}},
		h2case{name: "h2/read deadline", method: "POST", target: "/a/readlimit", body: []string{"some"}, open: true},
		h2case{name: "h2/past read deadline", method: "POST", target: "/a/pastlimit?what=read", body: []string{"some"}, open: true, events: true},
		h2case{name: "h2/past write deadline", method: "POST", target: "/a/pastlimit?what=write", events: true},
		h2case{name: "h2/close body", method: "POST", target: "/a/closebody", body: []string{"some"}, open: true},
	)
	return list
}

// h2requests are of what a head says.
func h2requests() []h2case {
	return []h2case{
		{target: "/a/echo?q=1&r=%20"}, {target: "/a/id/%2f"}, {target: "/a/rest/x/y/"}, {target: "/a/echo#f"}, {target: "*"}, {target: "*", method: "OPTIONS"},
		{target: "/a/get", method: "HEAD"}, {target: "/a/get", method: "POST"}, {target: "/a/odd", method: "odd"}, {target: "/a/echo", method: "PRI"},
		{target: "/a/echo", fields: []string{"cookie", "a=1", "cookie", "b=2"}}, {target: "/a/echo", fields: []string{"x-a", "1", "x-a", "2", "x-empty", ""}},
		{target: "/a/echo", fields: []string{"te", "trailers"}}, {target: "/a/echo", fields: []string{"te", "gzip"}}, {target: "/a/echo", fields: []string{"connection", "close"}},
		{target: "/a/echo", fields: []string{"transfer-encoding", "chunked"}}, {target: "/a/echo", fields: []string{"host", "other"}}, {target: "/a/echo", fields: []string{"X-Upper", "1"}},
		{target: "/a/echo", fields: []string{"x-long", strings.Repeat("x", 7000)}}, {target: "/a/echo", fields: []string{"x-long", strings.Repeat("x", 9000)}},
		{target: "/a/echo", fields: []string{":late", "1"}}, {target: "a/echo"}, {target: ""}, {target: "http://e/a/echo"}, {target: "/a/echo", fields: []string{"priority", "u=1"}},
	}
}

// h2ends are of clients that leave, and of those that take nothing.
func h2ends() []h2case {
	cancel := func(told string) func(c *h2conn) {
		return func(c *h2conn) {
			if told != "" {
				if err := c.event(told); err != nil {
					c.note("%v", err)
				}
			}
			c.fr.WriteRSTStream(1, http2.ErrCodeCancel)
			if err := c.event("over\n"); err != nil {
				c.note("%v", err)
			}
			told, _ := os.ReadFile(c.eventsFile)
			c.note("told %q", told)
			c.ended = true
		}
	}
	return []h2case{
		{name: "h2/cancelled", target: "/a/waits", do: cancel("begun\n")},
		{name: "h2/cancelled, notified", target: "/a/notified", do: cancel("")},
		{name: "h2/write deadline", target: "/a/writelimit", events: true, window: 1 << 10, do: func(c *h2conn) { c.mute = true }},
		{name: "h2/leaves while it is written to", target: "/a/floods", window: 1 << 10, do: func(c *h2conn) {
			c.mute = true
			c.until(func() bool { return c.got == 1<<10 })
			cancel("begun\n")(c)
		}},
	}
}

// h2internalError is what a handler's panic becomes (docs/differences.md, panic-500).
const h2internalError = `headers :status: 500, content-length: 22, content-type: text/plain; charset=utf-8, date: masked, x-content-type-options: nosniff%s
data "Internal Server Error\n"
end of stream`
