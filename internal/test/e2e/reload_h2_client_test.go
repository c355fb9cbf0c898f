package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// h2Wire is a client written from RFC 9113, of frames: net/http's would open another
// connection, or ask again, where this one fails.
type h2Wire struct {
	nc net.Conn
	fr *http2.Framer

	writing sync.Mutex // guards writing to fr, and the two below
	block   bytes.Buffer
	enc     *hpack.Encoder

	mu      sync.Mutex // guards the rest
	changed *sync.Cond
	streams map[uint32]*h2WireStream
	next    uint32
	window  int // what may be sent on the connection
	initial int // and on a new stream
	err     error
}

// h2WireStream is a request and its answer.
type h2WireStream struct {
	c        *h2Wire
	id       uint32
	window   int
	fields   map[string]string // of the answer's head; nil before it has come
	body     []byte            // and not yet read
	trailers map[string]string
	ended    bool
	err      error
}

func newH2Wire(nc net.Conn) (*h2Wire, error) {
	c := &h2Wire{nc: nc, fr: http2.NewFramer(nc, nc), streams: make(map[uint32]*h2WireStream), next: 1, window: 65535, initial: 65535}
	c.changed = sync.NewCond(&c.mu)
	c.enc = hpack.NewEncoder(&c.block)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(nc, http2.ClientPreface); err != nil {
		return nil, err
	}
	if err := c.fr.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}); err != nil {
		return nil, err
	}
	go func() {
		err := c.read()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
		c.changed.Broadcast()
	}()
	return c, nil
}

// read sees to what comes, until the connection's end.
func (c *h2Wire) read() error {
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = c.settings(f)
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = c.write(func() error { return c.fr.WritePing(true, f.Data) })
			}
		case *http2.GoAwayFrame:
			return fmt.Errorf("GOAWAY %v after %d: %q", f.ErrCode, f.LastStreamID, f.DebugData())
		case *http2.DataFrame:
			if n := uint32(f.Length); n > 0 {
				err = c.write(func() error {
					if f.StreamEnded() {
						return c.fr.WriteWindowUpdate(0, n)
					}
					return errors.Join(c.fr.WriteWindowUpdate(0, n), c.fr.WriteWindowUpdate(f.StreamID, n))
				})
			}
			c.hear(f.StreamID, func(s *h2WireStream) { s.body, s.ended = append(s.body, f.Data()...), f.StreamEnded() })
		case *http2.MetaHeadersFrame:
			c.hear(f.StreamID, func(s *h2WireStream) { s.head(f) })
		case *http2.RSTStreamFrame:
			c.hear(f.StreamID, func(s *h2WireStream) { s.err = fmt.Errorf("the stream is reset: %v", f.ErrCode) })
		case *http2.WindowUpdateFrame:
			c.mu.Lock()
			if s := c.streams[f.StreamID]; s != nil {
				s.window += int(f.Increment)
			} else if f.StreamID == 0 {
				c.window += int(f.Increment)
			}
			c.changed.Broadcast()
			c.mu.Unlock()
		}
		if err != nil {
			return err
		}
	}
}

func (c *h2Wire) settings(f *http2.SettingsFrame) error {
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.mu.Lock()
		for _, s := range c.streams {
			s.window += int(v) - c.initial
		}
		c.initial = int(v)
		c.changed.Broadcast()
		c.mu.Unlock()
	}
	return c.write(c.fr.WriteSettingsAck)
}

func (c *h2Wire) write(f func() error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return f()
}

// hear has what came for a stream known to who waits.
func (c *h2Wire) hear(id uint32, f func(*h2WireStream)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		f(s)
		c.changed.Broadcast()
	}
}

func (s *h2WireStream) head(f *http2.MetaHeadersFrame) {
	fields := make(map[string]string)
	for _, h := range f.Fields {
		fields[h.Name] = h.Value
	}
	if s.fields == nil {
		s.fields = fields
	} else {
		s.trailers = fields
	}
	s.ended = f.StreamEnded()
}

// await waits until ok, which is called with c.mu held.
func (s *h2WireStream) await(what string, ok func() bool) error {
	c, late := s.c, false
	timer := time.AfterFunc(testbed.AnswerWait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		late = true
		c.changed.Broadcast()
	})
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !ok() {
		switch {
		case s.err != nil:
			return fmt.Errorf("stream %d, %s: %w", s.id, what, s.err)
		case c.err != nil:
			return fmt.Errorf("stream %d, %s: %w", s.id, what, c.err)
		case s.ended:
			return fmt.Errorf("stream %d, %s: %w", s.id, what, io.ErrUnexpectedEOF)
		case late:
			return fmt.Errorf("stream %d, %s: does not come", s.id, what)
		}
		c.changed.Wait()
	}
	return nil
}

// open begins a request.
func (c *h2Wire) open(end bool, fields ...string) (*h2WireStream, error) {
	c.writing.Lock() // so that streams open in the order of their numbers
	defer c.writing.Unlock()
	c.mu.Lock()
	s := &h2WireStream{c: c, id: c.next, window: c.initial}
	c.streams[s.id] = s
	c.next += 2
	c.mu.Unlock()
	return s, c.headers(s.id, end, fields)
}

// headers sends a header block, in as many frames as it takes.
func (c *h2Wire) headers(id uint32, end bool, fields []string) error {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	for first := true; ; first = false {
		part := c.block.Next(16384)
		last := c.block.Len() == 0
		var err error
		if first {
			err = c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndStream: end, EndHeaders: last})
		} else {
			err = c.fr.WriteContinuation(id, last, part)
		}
		if err != nil || last {
			return err
		}
	}
}

// send sends a part of the body, as the windows allow.
func (s *h2WireStream) send(data string, end bool) error {
	c := s.c
	for {
		n := 0
		if err := s.await("a window", func() bool {
			n = min(len(data), s.window, c.window, 16384)
			if n > 0 {
				s.window -= n
				c.window -= n
			}
			return n > 0 || data == ""
		}); err != nil {
			return err
		}
		part := data[:n]
		data = data[n:]
		if err := c.write(func() error { return c.fr.WriteData(s.id, end && data == "", []byte(part)) }); err != nil || data == "" {
			return err
		}
	}
}

// take reads so many bytes of the answer's body; all of it below 0.
func (s *h2WireStream) take(n int) (string, error) {
	err := s.await("the body", func() bool { return n < 0 && s.ended && s.err == nil || n >= 0 && len(s.body) >= n })
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err != nil || n < 0 {
		n = len(s.body)
	}
	b := string(s.body[:n])
	s.body = s.body[n:]
	return b, err
}

// done ends the stream on our side: nothing that comes for it is of interest.
func (s *h2WireStream) done() {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	delete(s.c.streams, s.id)
}

// answer reads all of an answer and checks it.
func (s *h2WireStream) answer(status, want string) error {
	defer s.done()
	body, err := s.take(-1)
	if err == nil && (s.fields[":status"] != status || body != want) {
		err = fmt.Errorf("stream %d: got %s %.600q, want %s %.600q", s.id, s.fields[":status"], body, status, want)
	}
	return err
}

// ask sends r.
func (c *h2Wire) ask(r reloadRequest) (*h2WireStream, error) {
	fields := []string{":method", r.method, ":scheme", "https", ":authority", "e2e.example", ":path", r.target}
	for _, pad := range r.pads {
		fields = append(fields, "x-pad", pad)
	}
	if r.trailer != "" {
		fields = append(fields, "trailer", "X-Trailer")
	}
	if r.method == "POST" && !r.chunked {
		fields = append(fields, "content-length", fmt.Sprint(len(r.content)))
	}
	s, err := c.open(r.method == "GET", fields...)
	if err == nil && r.method == "POST" {
		err = s.send(r.content, r.trailer == "")
	}
	if err == nil && r.trailer != "" {
		err = c.write(func() error { return c.headers(s.id, true, []string{"x-trailer", r.trailer}) })
	}
	return s, err
}
