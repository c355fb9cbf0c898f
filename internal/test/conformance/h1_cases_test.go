package conformance

import "strings"

// h1Case is what a client sends over a connection of its own, and what the RFCs allow a
// server to answer.
type h1Case struct {
	name string // with the section of RFC 9112, or of 9110 where it says so
	send string
	rest string // sent once it is clear that send alone is not answered; "" for nothing
	// want are the statuses that are right for the first answer: "2xx 404".
	want string
	body string // of a first answer of 200; "" for any
	// then is what follows the answer: another request is answered, the connection ends,
	// or it ends unless the answer was an error, which is the server's to choose.
	then
	answers int // how many there are; 0 for one
}

type then int

const (
	either then = iota
	stays
	ends
)

const host = "Host: e.example\r\n"

var h1Cases = []h1Case{
	// The request line.
	{name: "3 plain", send: "GET / HTTP/1.1\r\n" + host + "\r\n", want: "200", body: "Hello", then: stays},
	{name: "2.2 an empty line before", send: "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", want: "200"},
	{name: "3 no version", send: "GET / \r\n\r\n", want: "4xx 5xx", then: ends},
	{name: "3 neither version nor target", send: "GET\r\n\r\n", want: "4xx 5xx", then: ends},
	{name: "3 spaces in the target", send: "GET /a b HTTP/1.1\r\n" + host + "\r\n", want: "4xx", then: ends},
	{name: "3 more than the line has", send: "GET / HTTP/1.1 x\r\n" + host + "\r\n", want: "4xx 5xx", then: ends},
	{name: "3.1 a method that is no token", send: "G@T / HTTP/1.1\r\n" + host + "\r\n", want: "4xx 5xx", then: ends},
	{name: "3.1 an unknown method", send: "FROB / HTTP/1.1\r\n" + host + "\r\n", want: "200 405 501"},
	{name: "3.1 words before the method", send: "say GET / HTTP/1.1\r\n" + host + "\r\n", want: "4xx 5xx", then: ends},
	{name: "3.2.2 an absolute target", send: "GET http://e.example/ HTTP/1.1\r\n" + host + "\r\n", want: "200", body: "Hello", then: stays},
	{name: "3.2.4 an asterisk", send: "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", want: "2xx 4xx", then: stays},
	{name: "2.3 a version of the future", send: "GET / HTTP/9.9\r\n" + host + "\r\n", want: "4xx 5xx", then: ends},
	{name: "2.3 another minor version", send: "GET / HTTP/1.2\r\n" + host + "\r\n", want: "200 505"},
	{name: "2.3 the name in lower case", send: "GET / http/1.1\r\n" + host + "\r\n", want: "4xx 5xx", then: ends},
	{name: "2.3 a version without a point", send: "GET / HTTP/11\r\n" + host + "\r\n", want: "4xx 5xx", then: ends},

	// Fields.
	{name: "3.2 no Host", send: "GET / HTTP/1.1\r\nX: y\r\n\r\n", want: "400"},
	{name: "3.2 two Hosts", send: "GET / HTTP/1.1\r\n" + host + "Host: other.example\r\n\r\n", want: "400"},
	{name: "3.2 a Host that is none", send: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", want: "400"},
	{name: "3.2 HTTP/1.0 needs none", send: "GET / HTTP/1.0\r\n\r\n", want: "200", body: "Hello", then: ends},
	{name: "5 names in any case, a tab, no value", send: "GET / HTTP/1.1\r\nhOsT:\te.example\r\nX-None:\r\nX-Space: \r\n\r\n", want: "200", then: stays},
	{name: "5 white space around the value", send: "GET / HTTP/1.1\r\n" + host + "Content-Length: \t 5 \t\r\n\r\nhello", want: "200", body: "hello", then: stays},
	{name: "5.1 a space before the colon", send: "GET / HTTP/1.1\r\n" + host + "X-Y : z\r\n\r\n", want: "400"},
	{name: "5.1 no colon", send: "GET / HTTP/1.1\r\n" + host + "X-Y\r\n\r\n", want: "400"},
	{name: "5.1 no name", send: "GET / HTTP/1.1\r\n" + host + ": z\r\n\r\n", want: "400"},
	{name: "5.1 a name that is no token", send: "GET / HTTP/1.1\r\n" + host + "X[y]: z\r\n\r\n", want: "400"},
	{name: "2.2 a space before the first field", send: "GET / HTTP/1.1\r\n X: y\r\n" + host + "\r\n", want: "400"},
	{name: "5.2 a folded line", send: "GET / HTTP/1.1\r\n" + host + "X-Y: a\r\n b\r\n\r\n", want: "200 400"},
	{name: "9110 5.5 a control character", send: "GET / HTTP/1.1\r\n" + host + "X-Y: a\x07\r\n\r\n", want: "400"},
	{name: "9110 5.5 NUL", send: "GET / HTTP/1.1\r\n" + host + "X-Y: a\x00b\r\n\r\n", want: "400"},
	{name: "2.2 a CR alone", send: "GET / HTTP/1.1\r\n" + host + "\rX-Y: a\r\n\r\n", want: "400"},
	{name: "9110 5.5 letters that are not ASCII", send: "GET / HTTP/1.1\r\n" + host + "X-Y: \xc3\xa9\r\n\r\n", want: "200 400"},
	{name: "3 a target that is very long", send: "GET /" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\n" + host + "\r\n", want: "4xx", then: ends},
	{name: "5.4 fields that are very many", send: "GET / HTTP/1.1\r\n" + host + strings.Repeat("X-Y: abcdefgh\r\n", 200000) + "\r\n", want: "4xx", then: ends},

	// The length of a body.
	{name: "6.3 Content-Length", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", want: "200", body: "hello", then: stays},
	{name: "6.3 of GET", send: "GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", want: "200", body: "hello", then: stays},
	{name: "6.3 no length is none", send: "POST / HTTP/1.1\r\n" + host + "\r\n", want: "200 411", body: "Hello", then: stays},
	{name: "6.3 below 0", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: -1234\r\n\r\n", want: "400", then: ends},
	{name: "6.3 far below 0", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: -123456789123456789123456789\r\n\r\n", want: "400", then: ends},
	{name: "6.3 too large", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 123456789123456789123456789\r\n\r\n", want: "400 413", then: ends},
	{name: "6.3 no number", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: abc\r\n\r\n", want: "400", then: ends},
	{name: "6.3 with a sign", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\nhello", want: "400", then: ends},
	{name: "6.3 of hex digits", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x5\r\n\r\nhello", want: "400", then: ends},
	{name: "6.3 two that differ", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", want: "400", then: ends},
	{name: "6.3 a list that differs", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 6\r\n\r\nhello!", want: "400", then: ends},
	{name: "6.3 two that are equal", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", want: "200 400", body: "hello"},

	// Chunks.
	{name: "7.1 chunks", send: chunked + "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", want: "200", body: "hello", then: stays},
	{name: "7.1 none", send: chunked + "0\r\n\r\n", want: "200", body: "Hello", then: stays},
	{name: "7.1 zeros before a size, capital digits", send: chunked + "00B\r\nhello hello\r\n000\r\n\r\n", want: "200", body: "hello hello", then: stays},
	{name: "7.1.1 extensions", send: chunked + "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", want: "200", body: "hello", then: stays},
	{name: "7.1.2 trailers", send: chunked + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", want: "200", body: "hello", then: stays},
	{name: "7 the coding in capitals", send: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "200", body: "hello", then: stays},
	{name: "7.1 a size that is none", send: chunked + "xyz\r\nhello\r\n0\r\n\r\n", want: "400", then: ends},
	{name: "7.1 a size with 0x", send: chunked + "0x5\r\nhello\r\n0\r\n\r\n", want: "400", then: ends},
	{name: "7.1 a size with a sign", send: chunked + "+5\r\nhello\r\n0\r\n\r\n", want: "400", then: ends},
	{name: "7.1 a size that is too large", send: chunked + "fffffffffffffffff\r\nhello\r\n0\r\n\r\n", want: "400", then: ends},
	{name: "7.1 more than the size says", send: chunked + "5\r\nhello!\r\n0\r\n\r\n", want: "400", then: ends},
	{name: "7.1.1 a CR alone in an extension", send: chunked + "5;a\rb\r\nhello\r\n0\r\n\r\n", want: "400", then: ends},
	{name: "6.1 an unknown coding", send: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: frob\r\n\r\n", want: "400 501", then: ends},
	{name: "6.1 chunked is not the last coding", send: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, gzip\r\n\r\n", want: "400 501", then: ends},
	{name: "6.1 chunked twice", send: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, chunked\r\n\r\n", want: "400 501", then: ends},
	{name: "6.1 in two fields", send: "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", want: "400 501", then: ends},
	{name: "6.1 with Content-Length, too", send: "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "200 400", body: "hello", then: ends},
	{name: "6.1 of HTTP/1.0", send: "POST / HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: "200 400 501", then: ends},

	// The answer and the connection.
	{name: "9110 9.3.2 HEAD", send: "HEAD / HTTP/1.1\r\n" + host + "\r\n", want: "200", then: stays},
	{name: "9110 10.1.1 Expect", send: "POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", rest: "hello", want: "100", then: stays, answers: 2},
	{name: "9110 10.1.1 Expect without a body", send: "GET / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\n\r\n", want: "100 200", body: "Hello"},
	{name: "9110 10.1.1 Expect of what nobody knows", send: "GET / HTTP/1.1\r\n" + host + "Expect: miracles\r\n\r\n", want: "200 417"},
	{name: "9110 7.8 Upgrade to what nobody knows", send: "GET / HTTP/1.1\r\n" + host + "Connection: upgrade\r\nUpgrade: frob/2\r\n\r\n", want: "200", then: stays},
	{name: "9.3 close", send: "GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", want: "200", then: ends},
	{name: "9.3 close in a list", send: "GET / HTTP/1.1\r\n" + host + "Connection: X-Y, CLOSE\r\n\r\n", want: "200", then: ends},
	{name: "9.3 HTTP/1.0 ends", send: "GET / HTTP/1.0\r\n" + host + "\r\n", want: "200", then: ends},
	{name: "9.3 HTTP/1.0 that stays", send: "GET / HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n", want: "200"},
	{name: "9.3.2 a pipeline", send: "GET / HTTP/1.1\r\n" + host + "\r\nPOST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n" + host + "\r\n", want: "200", body: "Hello", then: stays, answers: 3},
}

const chunked = "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n"

// split is a request in two parts, at every place where a parser could be impatient.
const split = "POST /hello HTTP/1.1\r\nHost: e.example\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\nX: y\r\n\r\n"

func init() {
	for at := 1; at < len(split); at += 2 {
		h1Cases = append(h1Cases, h1Case{name: "8 a part: " + split[:at], send: split[:at], rest: split[at:], want: "200", body: "hello", then: stays})
	}
}
