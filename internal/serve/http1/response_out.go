package http1

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// bodySize is how much of a body is held back before it is sent in
	// chunks: a shorter one gets a Content-Length.
	bodySize = 2048
	// outSize is how much net/http holds back of what it has framed. More
	// than that is sent at once.
	outSize = 4096
	// largeSize bounds what is copied to leave in one write.
	largeSize = 16 << 10
	// copySize is what net/http asks a reader for.
	copySize = 32 << 10
)

// buffers are what a response needs while it lasts. They are used again.
type buffers struct {
	body *bufio.Writer // of bodySize, to the response's chunks
	out  []byte        // framed, not yet sent
	head headerFields
}

var (
	buffersPool = sync.Pool{New: func() any {
		return &buffers{body: bufio.NewWriterSize(nil, bodySize), out: make([]byte, 0, outSize+512)}
	}}
	largePool = sync.Pool{New: func() any { return new([largeSize]byte) }}
	copyPool  = sync.Pool{New: func() any { return new([copySize]byte) }}
)

func getBuffers(w *Response) *buffers {
	b := buffersPool.Get().(*buffers)
	b.body.Reset((*chunks)(w))
	return b
}

// release ends the response's use of its buffers. Nothing may keep a part of them.
func (w *Response) release() {
	b := w.buf
	w.buf = nil
	if cap(b.out) > 4*outSize || cap(b.head.list) > 64 || cap(b.head.backing) > 64 {
		return // one large head is not kept for small ones
	}
	b.body.Reset(nil)
	b.out = b.out[:0]
	b.head.reset()
	buffersPool.Put(b)
}

// chunks is the Response as the writer below the body's buffer: each call is a
// chunk, where the body is sent in chunks.
type chunks Response

func (c *chunks) Write(p []byte) (n int, err error) {
	w := (*Response)(c)
	if !w.headSent {
		w.sendHead(p)
	}
	if w.r.Method == "HEAD" {
		return len(p), nil
	}
	if w.werr != nil {
		return 0, w.werr
	}
	if w.chunked {
		w.buf.out = strconv.AppendUint(w.buf.out, uint64(len(p)), 16)
		w.buf.out = append(w.buf.out, "\r\n"...)
	}
	return w.send(p)
}

// send sends what is buffered and p, with the chunk's end: all that net/http
// would send now, and no less, in one write if it is not too much to copy.
func (w *Response) send(p []byte) (n int, err error) {
	end := ""
	if w.chunked {
		end = "\r\n"
	}
	b := w.buf
	total := len(b.out) + len(p) + len(end)
	switch {
	case total <= cap(b.out):
		b.out = append(append(b.out, p...), end...)
		if total <= outSize {
			return len(p), nil
		}
		return outcome(len(p), w.flush())
	case total <= largeSize:
		large := largePool.Get().(*[largeSize]byte)
		defer largePool.Put(large)
		all := append(append(append(large[:0], b.out...), p...), end...)
		b.out = b.out[:0]
		return outcome(len(p), w.put(all))
	}
	if n = min(len(p), cap(b.out)-len(b.out)); len(b.out) > 0 {
		b.out = append(b.out, p[:n]...)
		if err := w.flush(); err != nil {
			return 0, err
		}
		p = p[n:]
	} else {
		n = 0
	}
	if err := w.put(p); err != nil {
		return n, err
	}
	b.out = append(b.out, end...)
	return n + len(p), nil
}

// put writes to the client.
func (w *Response) put(p []byte) error {
	if w.werr != nil {
		return w.werr
	}
	n, err := w.t.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.werr = err
	return err
}

// flush sends what is framed.
func (w *Response) flush() error {
	if w.werr != nil || len(w.buf.out) == 0 {
		return w.werr
	}
	err := w.put(w.buf.out)
	w.buf.out = w.buf.out[:0]
	return err
}

// flushHead sends what is framed, and that is the head at least.
func (w *Response) flushHead() error {
	if !w.headSent {
		w.sendHead(nil)
	}
	return w.flush()
}

// end frames the body's end, and the trailers.
func (w *Response) end() {
	if !w.headSent {
		w.sendHead(nil)
	}
	if !w.chunked {
		return
	}
	b := w.buf
	b.out = append(b.out, "0\r\n"...)
	if t := w.finalTrailers(); t != nil {
		b.head.take(t)
		b.out = b.head.append(b.out)
	}
	b.out = append(b.out, "\r\n"...)
}

// finalTrailers returns the trailers that the handler has set: those it has
// declared, and those it has named with http.TrailerPrefix.
func (w *Response) finalTrailers() (t http.Header) {
	header := w.given()
	add := func(name string, values []string) {
		if t == nil {
			t = make(http.Header)
		}
		t[name] = append(t[name], values...)
	}
	for name, values := range header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(rest, values)
		}
	}
	for _, name := range w.trailers {
		add(name, header[name])
	}
	return t
}

// Flush implements http.Flusher.
func (w *Response) Flush() { w.FlushError() }

// FlushError is what http.ResponseController flushes by.
func (w *Response) FlushError() error {
	w.mu.Lock()
	defer w.unlock()
	if !w.begun.Load() {
		w.writeHeader(http.StatusOK)
	}
	w.panicIfHijacked()
	if w.buf == nil {
		return nil
	}
	err := w.buf.body.Flush()
	if e := w.flushHead(); err == nil {
		err = e
	}
	return err
}
