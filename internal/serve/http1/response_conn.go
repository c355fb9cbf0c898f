package http1

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// sniffed is how much of a body decides its type.
const sniffed = 512

// ReadFrom implements io.ReaderFrom. The socket itself copies from src, once
// the head has left and where the body is sent as it is; over TLS there is no socket
// that could, and net/http does not begin with what decides the type either.
func (w *Response) ReadFrom(src io.Reader) (n int64, err error) {
	buf := copyPool.Get().(*[copySize]byte)
	defer copyPool.Put(buf)
	if w.secure {
		return io.CopyBuffer((*plainWriter)(w), src, buf[:])
	}
	if !w.headLeft() {
		n, err = io.CopyBuffer((*plainWriter)(w), io.LimitReader(src, sniffed), buf[:])
		if err != nil || n < sniffed {
			return n, err
		}
	}
	var more int64
	if w.beginCopy() {
		defer func() { w.endCopy(more) }()
		more, err = w.t.ReadFrom(src)
	} else {
		more, err = io.CopyBuffer((*plainWriter)(w), src, buf[:])
	}
	return n + more, err
}

// plainWriter is the Response without its ReadFrom.
type plainWriter Response

func (p *plainWriter) Write(b []byte) (int, error) { return (*Response)(p).Write(b) }

func (w *Response) headLeft() bool {
	w.mu.Lock()
	defer w.unlock()
	return w.headSent
}

// beginCopy sends all that is buffered. It reports whether the body may go to
// the socket without passing through here; then endCopy follows.
func (w *Response) beginCopy() bool {
	w.mu.Lock()
	defer w.unlock()
	w.panicIfHijacked()
	if w.buf == nil {
		return false
	}
	w.buf.body.Flush()
	w.flushHead()
	if w.chunked || !bodyAllowed(w.status) || w.r.Method == "HEAD" {
		return false
	}
	w.copying++
	return true
}

func (w *Response) endCopy(n int64) {
	w.mu.Lock()
	defer w.unlock()
	w.copying--
	w.written += n
}

// Hijack implements http.Hijacker.
func (w *Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.mu.Lock()
	defer w.unlock()
	if w.done.Load() {
		panic("net/http: Hijack called after ServeHTTP finished")
	}
	if w.hijacked.Load() {
		return nil, nil, http.ErrHijacked
	}
	if w.begun.Load() {
		w.flushHead() // what the body's buffer holds is lost, as with net/http
	}
	conn, ahead, err := w.t.Hijack()
	if err != nil {
		return nil, nil, err
	}
	conn.SetDeadline(time.Time{})
	w.lazy.Lock()
	w.conn = conn
	w.hijacked.Store(true)
	w.lazy.Unlock()
	w.release()
	r := bufio.NewReaderSize(&readAhead{ahead, conn, w.t}, max(outSize, len(ahead)))
	r.Peek(len(ahead))
	return conn, bufio.NewReadWriter(r, bufio.NewWriterSize(conn, outSize)), nil
}

// readAhead gives what was read of a connection already, and then the rest. An
// error of that is the request's end, as with net/http; one that the handler gets
// of the connection itself is not.
type readAhead struct {
	ahead []byte
	conn  net.Conn
	t     Transport
}

func (r *readAhead) Read(p []byte) (int, error) {
	if len(r.ahead) == 0 {
		n, err := r.conn.Read(p)
		if err != nil {
			r.t.Gone()
		}
		return n, err
	}
	n := copy(p, r.ahead)
	r.ahead = r.ahead[n:]
	return n, nil
}

// panicIfHijacked panics as net/http does, which has no buffer then.
func (w *Response) panicIfHijacked() {
	if w.hijacked.Load() {
		var none *bufio.Writer
		none.Flush()
	}
}

// CloseNotify implements http.CloseNotifier.
func (w *Response) CloseNotify() <-chan bool {
	w.lazy.Lock()
	defer w.lazy.Unlock()
	if w.done.Load() {
		panic("net/http: CloseNotify called after ServeHTTP finished")
	}
	if w.gone == nil {
		w.gone = w.t.CloseNotify()
	}
	return w.gone
}

// SetReadDeadline is what http.ResponseController sets it by.
func (w *Response) SetReadDeadline(t time.Time) error {
	w.lazy.Lock()
	defer w.lazy.Unlock()
	if w.conn != nil {
		return w.conn.SetReadDeadline(t)
	}
	if w.done.Load() {
		return net.ErrClosed
	}
	w.deadlines.read = true
	return w.t.SetReadDeadline(t)
}

// SetWriteDeadline is what http.ResponseController sets it by.
func (w *Response) SetWriteDeadline(t time.Time) error {
	w.lazy.Lock()
	defer w.lazy.Unlock()
	if w.conn != nil {
		return w.conn.SetWriteDeadline(t)
	}
	if w.done.Load() {
		return net.ErrClosed
	}
	w.deadlines.write = true
	return w.t.SetWriteDeadline(t)
}

// EnableFullDuplex is for requests with a body.
func (w *Response) EnableFullDuplex() error { return nil }

// note keeps a line for the log until mu is free: a log may write to the
// very response that it is about.
func (w *Response) note(line string) { w.notes = append(w.notes, line) }

// noteCaller notes what was called, and where in the handler's code.
func (w *Response) noteCaller(call string) {
	f := callerBeyond()
	w.note(fmt.Sprintf("%s from %s (%s:%d)", call, f.Function, path.Base(f.File), f.Line))
}

func (w *Response) unlock() {
	notes := w.notes
	w.notes = nil
	w.mu.Unlock()
	for _, line := range notes {
		if w.o.ErrorLog != nil {
			w.o.ErrorLog.Print(line)
		} else {
			log.Print(line)
		}
	}
}

var ownPrefix = reflect.TypeFor[Response]().PkgPath() + "."

// callerBeyond returns the innermost frame that is neither this package's nor
// net/http's, within net/http's bound of 16 frames.
func callerBeyond() runtime.Frame {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(1, pc)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, ownPrefix) && !strings.HasPrefix(f.Function, "net/http.") {
			return f
		}
		if !more {
			return runtime.Frame{}
		}
	}
}
