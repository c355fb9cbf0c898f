package http1

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// additions are the fields that a head gets beside the handler's.
type additions struct {
	date, length, chunked   bool
	contentType, connection string
}

// sendHead decides how the body is framed and whether the connection is kept,
// and puts the head into buf.out. first is the beginning of the body; where the
// handler has returned, it is the whole body.
func (w *Response) sendHead(first []byte) {
	w.headSent = true
	keepAlives := w.o.keepAlives()
	head := &w.buf.head
	var add additions

	trailers := w.declareTrailers()
	te := head.get(keyTransferEncoding)
	isHEAD := w.r.Method == "HEAD"
	allowed := bodyAllowed(w.status)
	if w.done.Load() && !trailers && te == "" && allowed && !head.has(keyContentLength) && (!isHEAD || len(first) > 0) {
		w.contentLength = int64(len(first))
		add.length = true
	}
	w.decideKeeping(&add, isHEAD, allowed, keepAlives)
	if !allowed {
		if w.status == http.StatusNotModified {
			head.del(keyContentType)
		}
		head.del(keyContentLength)
		head.del(keyTransferEncoding)
	} else if te == "" && len(first) > 0 && !head.has(keyContentType) && head.get(keyContentEncoding) == "" {
		add.contentType = http.DetectContentType(first)
	}
	add.date = !head.has(keyDate)
	w.frame(&add, te, isHEAD || !allowed)
	if !w.r.ProtoAtLeast(1, 0) {
		return
	}
	is11 := w.r.ProtoAtLeast(1, 1)
	if w.closeAfter && !(keepAlives && hasToken(head.get(keyConnection), "close")) && !w.switches() {
		head.del(keyConnection)
		if is11 {
			add.connection = "close"
		}
	}
	out := appendStatus(w.buf.out, is11, w.status)
	out = head.append(out)
	w.buf.out = add.append(out, w.contentLength)
}

// declareTrailers notes the trailers that the header names, and reports
// whether there are any, or may be.
func (w *Response) declareTrailers() bool {
	head := &w.buf.head
	names := head.values(keyTrailer)
	for _, list := range names {
		for _, name := range strings.Split(list, ",") {
			if name = textproto.TrimString(name); name == "" {
				continue
			}
			if name = http.CanonicalHeaderKey(name); trailerAllowed(name) {
				w.trailers = append(w.trailers, name)
			}
		}
	}
	return head.prefixed || len(names) > 0
}

// decideKeeping decides whether the connection is kept, as far as that does
// not depend on how the body is framed.
func (w *Response) decideKeeping(add *additions, isHEAD, allowed, keepAlives bool) {
	head := &w.buf.head
	if w.keep10 && (isHEAD || w.contentLength != -1 || !allowed) {
		if !head.has(keyConnection) {
			add.connection = "keep-alive"
		}
	} else if w.wantsClose || !w.r.ProtoAtLeast(1, 1) {
		w.closeAfter = true
	}
	if head.get(keyConnection) == "close" || !keepAlives {
		w.closeAfter = true
	}
}

// frame decides how the client finds the body's end.
func (w *Response) frame(add *additions, te string, bodiless bool) {
	head := &w.buf.head
	length := w.contentLength != -1
	if length && te != "" && te != "identity" {
		w.note("http: WriteHeader called with both Transfer-Encoding of " + strconv.Quote(te) +
			" and a Content-Length of " + strconv.FormatInt(w.contentLength, 10))
		head.del(keyContentLength)
		length = false
	}
	switch {
	case bodiless || length:
		head.del(keyTransferEncoding)
	case !w.r.ProtoAtLeast(1, 1) || te == "identity":
		w.closeAfter = true
		head.del(keyTransferEncoding)
	default:
		w.chunked = true
		add.chunked = true
		if te == "chunked" {
			head.del(keyTransferEncoding)
		}
		head.del(keyContentLength)
	}
}

// switches reports whether the answer hands the connection to another protocol.
func (w *Response) switches() bool {
	head := &w.buf.head
	if w.status != http.StatusSwitchingProtocols || head.get(keyUpgrade) == "" {
		return false
	}
	return saysUpgrade(head.values(keyConnection))
}

// saysUpgrade reports whether a Connection field says that another protocol is to follow (RFC 9110,
// section 7.8).
func saysUpgrade(connection []string) bool {
	for _, list := range connection {
		for _, token := range strings.Split(list, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), "upgrade") {
				return true
			}
		}
	}
	return false
}

// KeepsAlive reports whether r asks in HTTP/1.0's way that its connection carries another request, which
// net/http follows though r asks for the end, too. Of several Connection fields it looks at the first.
func KeepsAlive(r *http.Request) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor != 0 {
		return false
	}
	connection := r.Header["Connection"]
	return len(connection) > 0 && hasToken(connection[0], "keep-alive")
}

func (a *additions) append(b []byte, length int64) []byte {
	if a.date {
		b = append(b, "Date: "...)
		b = appendDate(b)
		b = append(b, "\r\n"...)
	}
	if a.length {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, length, 10)
		b = append(b, "\r\n"...)
	}
	if a.contentType != "" {
		b = append(b, "Content-Type: "...)
		b = append(b, a.contentType...)
		b = append(b, "\r\n"...)
	}
	if a.connection != "" {
		b = append(b, "Connection: "...)
		b = append(b, a.connection...)
		b = append(b, "\r\n"...)
	}
	if a.chunked {
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendStatus(b []byte, is11 bool, code int) []byte {
	if is11 {
		b = append(b, "HTTP/1.1 "...)
	} else {
		b = append(b, "HTTP/1.0 "...)
	}
	b = strconv.AppendInt(b, int64(code), 10) // of three digits, always
	if text := http.StatusText(code); text != "" {
		b = append(b, ' ')
		b = append(b, text...)
	} else {
		b = append(b, " status code "...)
		b = strconv.AppendInt(b, int64(code), 10)
	}
	return append(b, "\r\n"...)
}

// date is the text of one second.
type date struct {
	second int64
	text   string
}

var lastDate atomic.Pointer[date]

func appendDate(b []byte) []byte {
	now := time.Now()
	d := lastDate.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return append(b, d.text...)
}

// hasToken reports whether one of the words of v, which blanks and commas
// separate, is the token, whatever its case.
func hasToken(v, token string) bool {
	for v != "" {
		i := strings.IndexAny(v, " ,\t")
		if i < 0 {
			i = len(v)
		}
		if strings.EqualFold(v[:i], token) {
			return true
		}
		v = v[min(i+1, len(v)):]
	}
	return false
}
