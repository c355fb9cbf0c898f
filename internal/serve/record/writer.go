package record

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
)

// Writer is an http.ResponseWriter that behaves towards the handler as that of
// net/http's HTTP/2 server. What such a one would do to the client's stream, it has the
// other side do.
type Writer struct {
	*state // nil once the handler has returned
}

// state is what a Writer needs while the handler runs. It is used again.
type state struct {
	a      *Answer
	r      *http.Request
	bw     *bufio.Writer // to writeChunk
	out    []byte
	header http.Header
	snap   http.Header // as it was when the answer began
	status int

	wroteHeader, sentHeader, done, flushing bool

	wrote, declared int64 // bytes of the body; declared is 0 until the head was sent

	notify struct {
		sync.Mutex
		ch chan bool
	}
}

var states = sync.Pool{New: func() any {
	s := &state{out: make([]byte, 0, parts.ChunkSize+512)}
	s.bw = bufio.NewWriterSize(chunkWriter{s}, parts.ChunkSize)
	return s
}}

func newWriter(a *Answer, r *http.Request) *Writer {
	s := states.Get().(*state)
	s.a, s.r = a, r
	return &Writer{s}
}

// drop ends the use of the state.
func (w *Writer) drop() {
	s := w.state
	w.state = nil
	if cap(s.out) > 4*parts.ChunkSize {
		return
	}
	bw, out := s.bw, s.out[:0]
	*s = state{bw: bw, out: out}
	bw.Reset(chunkWriter{s})
	states.Put(s)
}

// finish returns the parts that end the answer: all but those that were sent.
func (w *Writer) finish() []byte {
	s := w.state
	s.done = true
	s.flush()
	end := append([]byte(nil), s.out...)
	if t := s.trailers(); t != nil {
		end = parts.AppendFields(end, parts.Trailer, 0, t)
	}
	end = parts.Append(end, parts.End, nil)
	w.drop()
	return end
}

func (w *Writer) abandon() { w.state = nil }

// trailers are the fields that may be trailers: those announced, and those that are by
// their name.
func (s *state) trailers() (t http.Header) {
	add := func(key string) {
		if values, ok := s.header[key]; ok {
			if t == nil {
				t = make(http.Header)
			}
			t[key] = values
		}
	}
	for _, list := range s.snap["Trailer"] {
		for _, key := range strings.Split(list, ",") {
			add(http.CanonicalHeaderKey(strings.TrimSpace(key)))
		}
	}
	for key := range s.header {
		if strings.HasPrefix(key, http.TrailerPrefix) {
			add(key)
		}
	}
	return t
}

// Begun reports whether a final status was given.
func (w *Writer) Begun() bool { return w.state == nil || w.wroteHeader }

// Answered is the final status, 0 where none was given, and the bytes of the body.
func (w *Writer) Answered() (status int, written int64) {
	if w.state == nil {
		return 0, 0
	}
	return w.status, w.wrote
}

// Header implements http.ResponseWriter.
func (w *Writer) Header() http.Header {
	s := w.live("Header")
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}

// live returns the state; net/http panics where there is none.
func (w *Writer) live(call string) *state {
	if w.state == nil {
		panic(call + " called after Handler finished")
	}
	return w.state
}

// WriteHeader implements http.ResponseWriter.
func (w *Writer) WriteHeader(code int) { w.live("WriteHeader").writeHeader(code) }

func (s *state) writeHeader(code int) {
	if s.wroteHeader {
		return
	}
	if code < 100 || code > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", code))
	}
	if code < 200 {
		if _, err := s.a.room(); err == nil && parts.FieldsSize(s.header) <= parts.MaxFields {
			s.a.send(parts.AppendFields(nil, parts.Inform, code, s.header))
		}
		return
	}
	s.wroteHeader, s.status = true, code
	if len(s.header) > 0 {
		s.snap = s.header.Clone()
	}
}

// Write implements http.ResponseWriter.
func (w *Writer) Write(p []byte) (int, error) {
	s := w.live("Write")
	if err := s.admit(len(p)); err != nil {
		return 0, err
	}
	return s.bw.Write(p)
}

// WriteString implements io.StringWriter.
func (w *Writer) WriteString(text string) (int, error) {
	s := w.live("Write")
	if err := s.admit(len(text)); err != nil {
		return 0, err
	}
	return s.bw.WriteString(text)
}

func (s *state) admit(n int) error {
	if !s.wroteHeader {
		s.writeHeader(http.StatusOK)
	}
	if !bodyAllowed(s.status) {
		return http.ErrBodyNotAllowed
	}
	s.wrote += int64(n)
	if s.declared != 0 && s.wrote > s.declared {
		return errors.New("http2: handler wrote more than declared Content-Length")
	}
	return nil
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

type chunkWriter struct{ *state }

// Write sends a piece of the body as net/http's server would send it now, and before
// the first the head.
func (s chunkWriter) Write(p []byte) (int, error) { return s.writeChunk(p) }

func (s *state) writeChunk(p []byte) (int, error) {
	if !s.wroteHeader {
		s.writeHeader(http.StatusOK)
	}
	if err := s.a.failed(); err != nil {
		return 0, err
	}
	isHead := s.r.Method == http.MethodHead
	if !s.sentHeader {
		s.sentHeader = true
		if n, err := strconv.ParseUint(s.snap.Get("Content-Length"), 10, 63); err == nil {
			s.declared = int64(n)
		}
		if parts.FieldsSize(s.snap) > parts.MaxFields {
			s.a.fail(errFields)
			return 0, errFields
		}
		s.out = parts.AppendFields(s.out, parts.Head, s.status, s.snap)
		if isHead {
			// Its type and its length are told, of what the handler gives at once.
			if len(p) > 0 {
				s.out = parts.Append(s.out, parts.Data, p[:min(len(p), parts.ChunkSize)])
			}
			return 0, cmp.Or(s.put(), errComplete)
		}
	}
	if isHead {
		return len(p), nil
	}
	n, err := 0, error(nil)
	for n < len(p) && err == nil {
		var room int
		if room, err = s.a.room(); err != nil {
			break
		}
		k := min(len(p)-n, room)
		s.out = parts.Append(s.out, parts.Data, p[n:n+k])
		if n += k; n < len(p) {
			err = s.put()
		}
	}
	if err != nil {
		s.out = s.out[:0]
		return 0, err
	}
	return n, s.put()
}

// put sends what is framed, for the client to have now. What ends the answer is not sent
// here.
func (s *state) put() error {
	if s.done || len(s.out) == 0 && !s.flushing {
		return nil
	}
	s.flushing = false
	s.out = parts.Append(s.out, parts.Flush, nil)
	err := s.a.send(s.out)
	s.out = s.out[:0]
	return err
}

func (s *state) flush() error {
	if s.bw.Buffered() > 0 {
		return s.bw.Flush()
	}
	// The buffer does not pass nothing on, and the head is to go.
	_, err := s.writeChunk(nil)
	return err
}

// Flush implements http.Flusher.
func (w *Writer) Flush() { w.FlushError() }

// FlushError is what http.ResponseController flushes by.
func (w *Writer) FlushError() error {
	s := w.live("Header") // net/http's own word for it
	s.flushing = true
	err := s.flush()
	s.flushing = false
	return err
}

// CloseNotify implements http.CloseNotifier.
func (w *Writer) CloseNotify() <-chan bool {
	s := w.live("CloseNotify")
	s.notify.Lock()
	defer s.notify.Unlock()
	if s.notify.ch == nil {
		ch := make(chan bool, 1)
		s.notify.ch = ch
		ctx := s.r.Context()
		go func() {
			<-ctx.Done() // the stream's end
			ch <- true
		}()
	}
	return s.notify.ch
}

// Push implements http.Pusher. It pushes nothing: clients have given it up.
func (w *Writer) Push(string, *http.PushOptions) error { return http.ErrNotSupported }

// EnableFullDuplex is what http.ResponseController calls: it always is.
func (w *Writer) EnableFullDuplex() error { return nil }

// SetReadDeadline is what http.ResponseController sets it by.
func (w *Writer) SetReadDeadline(t time.Time) error {
	w.live("SetReadDeadline").a.setReadDeadline(t)
	return nil
}

// SetWriteDeadline is what http.ResponseController sets it by.
func (w *Writer) SetWriteDeadline(t time.Time) error {
	w.live("SetWriteDeadline").a.setWriteDeadline(t)
	return nil
}
