package http1

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is what carries a Response to the client. It closes the connection
// itself where a write failed, and ends the request's context, as net/http does.
type Transport interface {
	io.Writer     // to the client; an error is sticky for the response
	io.ReaderFrom // as Write, with sendfile(2) where it can
	// Hijack gives the raw connection, and the bytes that were read beyond
	// the request. An error leaves the response as it was.
	Hijack() (net.Conn, []byte, error)
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// CloseNotify returns a channel that gets one value, once the client has gone.
	CloseNotify() <-chan bool
	// Unwatch returns once nobody watches the client any more: its answer has left.
	Unwatch()
	// Gone ends the request's context, and notifies: who reads a hijacked
	// connection through its buffer has met the end.
	Gone()
}

// Options are common to the responses of a server.
type Options struct {
	ErrorLog   *log.Logger // nil: log's standard logger
	KeepAlives func() bool // whether connections are to be kept; nil: they are
}

// Response is an http.ResponseWriter whose bytes on the wire, and whose answers
// to the handler, are those of net/http's server for a request without a body.
// They leave no later than net/http's, and in fewer writes.
//
// A handler may keep a Response beyond its end: it then holds no buffer that
// another request uses, and reaches the connection no more.
type Response struct {
	t Transport
	r *http.Request // read anew each time, for handlers may change its method
	o *Options

	secure bool // the client's connection is over TLS

	// mu guards what follows. It is held while bytes go to the client, and
	// never while a handler's code runs.
	mu            sync.Mutex
	buf           *buffers // nil once the response is over or hijacked
	werr          error    // the first error of a write to the client
	written       int64    // bytes of the body, as the handler counts them
	contentLength int64    // declared, or -1
	status        int
	headSent      bool // the head is in buf.out, or beyond
	chunked       bool // valid once headSent
	closeAfter    bool // the connection ends with this response
	keep10        bool // HTTP/1.0, and the client asked for keep-alive
	wantsClose    bool // the client asked for the connection's end
	copying       int  // calls of Transport.ReadFrom under way
	trailers      []string
	notes         []string // for the log, once mu is free

	// begun and hijacked change under mu, done under lazy.
	begun    atomic.Bool // a final status was given
	hijacked atomic.Bool
	done     atomic.Bool

	// lazy guards what follows. It is never held for long, so what stops a
	// write that hangs (a deadline) does not wait for that write.
	lazy      sync.Mutex
	header    http.Header
	gone      <-chan bool
	conn      net.Conn // once hijacked
	deadlines struct{ read, write bool }
}

var noOptions Options

// NewResponse returns the response to r, which has no body. The caller calls
// Finish once the handler has returned, or Abort once it has panicked.
func NewResponse(t Transport, r *http.Request, o *Options) *Response {
	if o == nil {
		o = &noOptions
	}
	w := &Response{t: t, r: r, o: o, secure: r.TLS != nil, contentLength: -1, keep10: KeepsAlive(r)}
	if connection := r.Header["Connection"]; len(connection) > 0 {
		w.wantsClose = hasToken(connection[0], "close")
	}
	w.wantsClose = w.wantsClose || r.Close
	// The preface of HTTP/2, which only a hijacker can serve.
	w.closeAfter = r.Method == "PRI" && len(r.Header) == 0 && r.URL.Path == "*" && r.Proto == "HTTP/2.0"
	w.buf = getBuffers(w)
	return w
}

// Begun reports whether a final status was given: the answer can no longer
// become another one.
func (w *Response) Begun() bool { return w.begun.Load() }

// Hijacked reports whether the handler has taken the connection.
func (w *Response) Hijacked() bool { return w.hijacked.Load() }

// Answered returns the final status, 0 where none was given, and how many bytes the
// answer's body has so far.
func (w *Response) Answered() (status int, written int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.written
}

// Finish completes the answer after the handler has returned. It reports
// whether the connection carries another request.
func (w *Response) Finish() (reuse bool) {
	if !w.finish() {
		return false
	}
	w.t.Unwatch()
	if form := w.r.MultipartForm; form != nil {
		form.RemoveAll()
	}
	if w.deadlines.write {
		w.t.SetWriteDeadline(time.Time{})
	}
	if w.deadlines.read {
		w.t.SetReadDeadline(time.Time{})
	}
	return w.reusable()
}

// finish sends what is left. It reports false where the response was over.
func (w *Response) finish() bool {
	w.mu.Lock()
	defer w.unlock()
	if w.buf == nil {
		return false
	}
	w.setDone()
	if !w.begun.Load() {
		w.writeHeader(http.StatusOK)
	}
	w.buf.body.Flush()
	w.end()
	w.flush()
	w.release()
	return true
}

// reusable says what net/http's server asks last: what a goroutine of the handler
// still wrote counts, though it is not sent.
func (w *Response) reusable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	short := w.contentLength != -1 && w.contentLength != w.written && w.r.Method != "HEAD" && bodyAllowed(w.status)
	return !w.closeAfter && !short && w.werr == nil && w.copying == 0
}

// Abort ends the answer where it is, after the handler has panicked. The client
// still gets what net/http has for it then; the connection carries no other request.
func (w *Response) Abort() {
	w.mu.Lock()
	defer w.unlock()
	if w.buf == nil {
		return
	}
	w.setDone()
	w.flush()
	w.release()
}

func (w *Response) setDone() {
	w.lazy.Lock()
	w.done.Store(true)
	w.lazy.Unlock()
}

// Header implements http.ResponseWriter.
func (w *Response) Header() http.Header {
	w.lazy.Lock()
	defer w.lazy.Unlock()
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// given returns what Header gave to the handler, or nil.
func (w *Response) given() http.Header {
	w.lazy.Lock()
	defer w.lazy.Unlock()
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *Response) WriteHeader(code int) {
	w.mu.Lock()
	defer w.unlock()
	w.writeHeader(code)
}

func (w *Response) writeHeader(code int) {
	if w.hijacked.Load() {
		w.noteCaller("http: response.WriteHeader on hijacked connection")
		return
	}
	if w.begun.Load() {
		w.noteCaller("http: superfluous response.WriteHeader call")
		return
	}
	if code < 100 || code > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", code))
	}
	if code < 200 && code != http.StatusSwitchingProtocols {
		w.inform(code)
		return
	}
	w.begun.Store(true)
	w.status = code
	if w.buf == nil { // aborted
		return
	}
	header := w.given()
	// What the handler does to its header from now on changes trailers alone.
	w.buf.head.take(header)
	declared, ok := header["Content-Length"]
	if !ok || len(declared) == 0 || declared[0] == "" {
		return
	}
	n, err := strconv.ParseInt(declared[0], 10, 64)
	if err != nil || n < 0 {
		w.note(fmt.Sprintf("http: invalid Content-Length of %q", declared[0]))
		// The copy keeps it, as net/http's does.
		header.Del("Content-Length")
		return
	}
	w.contentLength = n
}

// inform sends an informational answer: the header as it is, which stays.
func (w *Response) inform(code int) {
	b := w.buf
	if b == nil { // aborted
		return
	}
	b.head.take(w.given())
	b.head.del(keyContentLength)
	b.head.del(keyTransferEncoding)
	b.out = appendStatus(b.out, w.r.ProtoAtLeast(1, 1), code)
	b.out = b.head.append(b.out)
	b.out = append(b.out, "\r\n"...)
	b.head.reset()
	w.flush()
}

// Write implements http.ResponseWriter.
func (w *Response) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.unlock()
	if err := w.admit(len(p)); err != nil || len(p) == 0 || w.buf == nil {
		return outcome(len(p), err)
	}
	return w.buf.body.Write(p)
}

// WriteString implements io.StringWriter.
func (w *Response) WriteString(s string) (n int, err error) {
	w.mu.Lock()
	defer w.unlock()
	if err := w.admit(len(s)); err != nil || len(s) == 0 || w.buf == nil {
		return outcome(len(s), err)
	}
	return w.buf.body.WriteString(s)
}

// outcome is that of a write of n bytes which is done as a whole or not at all.
func outcome(n int, err error) (int, error) {
	if err != nil {
		n = 0
	}
	return n, err
}

// admit says whether n bytes may be written to the body.
func (w *Response) admit(n int) error {
	if w.hijacked.Load() {
		if n > 0 {
			w.noteCaller("http: response.Write on hijacked connection")
		}
		return http.ErrHijacked
	}
	if !w.begun.Load() {
		w.writeHeader(http.StatusOK)
	}
	if n == 0 {
		return nil
	}
	if !bodyAllowed(w.status) {
		return http.ErrBodyNotAllowed
	}
	w.written += int64(n)
	if w.contentLength != -1 && w.written > w.contentLength {
		return http.ErrContentLength
	}
	return nil
}

// bodyAllowed reports whether an answer of this status has a body.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (o *Options) keepAlives() bool { return o.KeepAlives == nil || o.KeepAlives() }
