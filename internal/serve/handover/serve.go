package handover

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
	"github.com/andrestc/go-plugserver/internal/serve/record"
)

// Elsewhere is the handler of every request that is another process's. A
// Mux gives requests to it; the Server sees to the rest.
var Elsewhere http.Handler = elsewhere{}

type elsewhere struct{}

func (elsewhere) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x, ok := r.Context().(*requestContext); ok {
		x.elsewhere = true
		return
	}
	// A table that changed between two looks at it never gets here: both are
	// at the same table.
	http.Error(w, "no process serves this request", http.StatusServiceUnavailable)
}

// serve takes requests from c until it has left, or net/http's server is to.
func (s *Server) serve(c *Conn) {
	ok := false
	defer func() {
		if !ok && !c.hasLeft() {
			c.close() // the handler has ended the goroutine (runtime.Goexit)
		}
	}()
	whole := &wholeConn{Conn: c}
	err := c.next(whole)
	ok = true
	switch {
	case err == nil:
		whole.fed = true
		s.feed.put(whole)
	case errors.Is(err, errLeftAlone):
	case errors.Is(err, errPreface):
		c.giveHTTP2()
	case !c.hasLeft():
		c.close()
	}
}

// next serves requests until one is at the front that net/http has to serve;
// whole is then ready to deliver it. After an error the connection has left,
// or has to be closed.
func (c *Conn) next(whole *wholeConn) error {
	for {
		if c.loan != nil && c.served > 0 {
			return c.giveBack(answer{done: true, keep: true, canceled: c.history.canceled})
		}
		done, err := true, c.head()
		if err == nil {
			done, err = c.request(whole)
		}
		switch {
		case err == errBroken, err == errLate:
			c.begin()
			whole.refuse(err == errLate)
			return nil
		case err == errTooLarge:
			c.tooLarge()
			return err
		case err != nil || !done:
			return err
		}
	}
}

// tooLarge says what net/http says to a head beyond the limit.
func (c *Conn) tooLarge() {
	const text = "431 Request Header Fields Too Large"
	c.begin()
	c.logRefused(firstLine(c.pending()), http.StatusRequestHeaderFieldsTooLarge, len(text))
	io.WriteString(c.raw, "HTTP/1.1 "+text+"\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+text)
	c.closeWrite()
	time.Sleep(lastWords) // as net/http: a reset would overtake the answer
}

// lastWords is how long the client is given to read why its connection ends.
const lastWords = 500 * time.Millisecond

// request sees to the request at the front. It reports false where net/http
// has to serve it.
func (c *Conn) request(whole *wholeConn) (done bool, err error) {
	var mux Mux
	h := c.server.handler
	if c.server.Mux != nil {
		mux = c.server.Mux()
		h = mux
	}
	if c.scan.Plain && c.server.Route == nil {
		return c.plain(whole, h)
	}
	r, err := c.front()
	if err != nil {
		return false, err
	}
	if r.RequestURI == "*" {
		c.begin()
		whole.take(c.logged(star))
		return false, nil
	}
	if c.server.Route != nil {
		return c.route(whole, r)
	}
	if mux != nil {
		if found, _ := mux.Handler(r); found == Elsewhere || c.isAnothers(found, r) {
			return c.handOver(whole)
		}
	}
	c.begin()
	whole.take(h)
	return false, nil
}

// star is the handler of requests for no resource, which no route decides: what
// is not OPTIONS, every ServeMux refuses.
var star = http.NewServeMux()

// plain serves a request that has no body, in this process, without net/http's
// server. Where it turns out to be another process's, nothing was done.
func (c *Conn) plain(whole *wholeConn, h http.Handler) (done bool, err error) {
	x := &exchange{conn: c}
	x.requestContext = requestContext{base: c.server.base, server: c.server.http, local: c.local, began: time.Now(), eager: c.burst, watch: c.watch, chosen: c.isChosen(), alternates: c.alternates()}
	r, err := http1.Request(&x.requestContext, string(c.pending()[:c.scan.Len()]), true)
	if err != nil {
		return false, errBroken
	}
	c.begin()
	if c.history.canceled {
		x.Gone()
	}
	w, ok := c.server.answer(h, r, x, &x.requestContext, c.remoteText, c.tlsState(), c.tls)
	if x.elsewhere {
		return c.handOver(whole)
	}
	if w.Hijacked() {
		return true, errMoved{}
	}
	reuse := ok && w.Finish()
	x.Unwatch()
	c.history.canceled = x.canceled()
	c.clearLimits()
	if !reuse {
		return true, net.ErrClosed
	}
	c.consume(c.scan.Len())
	c.done()
	return true, nil
}

// answer has h answer r over t. It reports false where h has panicked, or the
// request is another process's: then nothing more may be written.
func (s *Server) answer(h http.Handler, r *http.Request, t http1.Transport, x *requestContext, remote string, state *tls.ConnectionState, encoded string) (w *http1.Response, ok bool) {
	r.RemoteAddr, r.TLS = remote, state
	w = http1.NewResponse(t, r, &s.options)
	demand(w, encoded)
	defer func() {
		x.end()
		if ok && !x.elsewhere {
			return
		}
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			s.logPanic("http", remote, p)
		}
		w.Abort()
	}()
	h.ServeHTTP(w, r)
	return w, true
}

// logPanic says what net/http says of a handler that has panicked.
func (s *Server) logPanic(proto, remote string, p any) {
	buf := make([]byte, 64<<10)
	buf = buf[:runtime.Stack(buf, false)]
	s.http.ErrorLog.Printf("%s: panic serving %v: %v\n%s", proto, remote, p, buf)
}

// Begun reports whether a final status was given to w, which a Server has given
// to a handler.
func Begun(w http.ResponseWriter) bool {
	if w, ok := w.(*http1.Response); ok {
		return w.Begun() || w.Hijacked()
	}
	if w, ok := w.(*record.Writer); ok {
		return w.Begun()
	}
	// A wrapper would hide what net/http looks for in its own writer (the
	// unexported method that MaxBytesReader calls). TestBegun holds this.
	v := reflect.Indirect(reflect.ValueOf(w))
	if v.Kind() == reflect.Struct {
		if v := v.FieldByName("wroteHeader"); v.IsValid() {
			return v.Bool()
		}
	}
	return true
}

// exchange is one request and its answer on a connection of this process. It
// is what carries the answer.
type exchange struct {
	requestContext
	conn *Conn
}

// Write implements http1.Transport.
func (x *exchange) Write(p []byte) (int, error) { return x.checked(x.conn.writeSocket(p)) }

// ReadFrom implements http1.Transport; the socket can send a file by itself
// (sendfile(2), splice(2)).
func (x *exchange) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := x.conn.raw.(io.ReaderFrom); ok {
		n, err := rf.ReadFrom(r)
		return n, err
	}
	return io.Copy(struct{ io.Writer }{x.conn.raw}, r)
}

// checked ends the request's context where the client takes no more.
func (x *exchange) checked(n int, err error) (int, error) {
	if err != nil {
		x.Gone()
	}
	return n, err
}

// Hijack implements http1.Transport.
func (x *exchange) Hijack() (net.Conn, []byte, error) {
	x.Unwatch()
	return x.conn.hijack(x.conn.scan.Len())
}

// hijack gives the connection to a handler, with what has come behind a request
// of n bytes.
func (c *Conn) hijack(n int) (net.Conn, []byte, error) {
	c.readOne()
	rest := c.pending()[n:]
	c.giveAway()
	return c.raw, rest, nil
}

// SetReadDeadline implements http1.Transport.
func (x *exchange) SetReadDeadline(t time.Time) error { return x.conn.SetReadDeadline(t) }

// SetWriteDeadline implements http1.Transport.
func (x *exchange) SetWriteDeadline(t time.Time) error { return x.conn.SetWriteDeadline(t) }

// done notes that a request has ended, and the next may begin.
func (c *Conn) done() {
	c.history.begun, c.history.post = true, c.scan.Post
	c.burst = c.r < c.w
	c.served++
}

// handOver gives the connection, with the request at its front, to the process
// behind it.
func (c *Conn) handOver(whole *wholeConn) (done bool, err error) {
	if c.loan != nil {
		return true, c.giveBack(answer{elsewhere: true})
	}
	c.history.moved(c.served)
	for p := c.server.Back(); p != nil; p = c.server.Back() {
		if err := p.give(c); err == nil {
			return true, errMoved{}
		} else if !p.Dead() {
			return true, err // the client's own socket
		}
	}
	c.begin()
	whole.take(c.logged(nobody))
	return false, nil
}

var nobody = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "no gate", http.StatusServiceUnavailable)
})
