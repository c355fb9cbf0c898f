package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/http2/hpack"
)

// The frames of HTTP/2 (RFC 9113, section 6), and their flags.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameWindow = 0, 1, 3, 4, 6, 7, 8

	flagEndStream, flagAck, flagEndHeaders, flagPadded, flagPriority = 0x1, 0x1, 0x4, 0x8, 0x20
)

const (
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	// wide is the window of a stream and of the connection: no server waits for this client.
	wide = 1 << 30
)

// frames is one connection of HTTP/2, with so many streams at a time.
type frames struct {
	nc      net.Conn
	d       *driven
	next    int    // request
	stream  uint32 // that was begun last
	out     []byte
	in      []byte
	streams map[uint32]*asked
	free    []*asked
	fields  *hpack.Decoder
	on      *asked // whose fields are decoded
	taken   int    // bytes of bodies, since more was granted
}

type asked struct {
	want    []byte // that is to come
	answers bool   // 200
	call    string // gRPC's status
	ends    bool   // Want ends with a gRPC's trailers
}

func newFrames(nc net.Conn, d *driven, next int) *frames {
	f := &frames{nc: nc, d: d, next: next, stream: 1<<32 - 1, streams: make(map[uint32]*asked)}
	f.fields = hpack.NewDecoder(4096, func(h hpack.HeaderField) {
		switch h.Name {
		case ":status":
			f.on.answers = h.Value == "200"
		case "grpc-status":
			f.on.call = h.Value
		}
	})
	return f
}

func appendFrame(b []byte, kind, flags byte, stream uint32, text []byte) []byte {
	b = append(b, byte(len(text)>>16), byte(len(text)>>8), byte(len(text)), kind, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), text...)
}

// run asks until the load ends.
func (f *frames) run() error {
	f.out = append(f.out, preface...)
	f.out = appendFrame(f.out, frameSettings, 0, 0, []byte{0, 2, 0, 0, 0, 0 /* no push */, 0, 4, wide >> 24, 0, 0, 0 /* of a stream */})
	f.out = appendFrame(f.out, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, wide-65535))
	for range f.d.spec.Streams {
		f.ask()
	}
	buf := make([]byte, 64<<10)
	for {
		if _, err := f.nc.Write(f.out); err != nil {
			return err
		}
		f.out = f.out[:0]
		if len(f.streams) == 0 {
			return nil
		}
		n, err := f.nc.Read(buf)
		if err != nil {
			return fmt.Errorf("the server has closed the connection: %w", err)
		}
		f.in = append(f.in, buf[:n]...)
		rest := f.in
		for len(rest) >= 9 {
			n := 9 + int(rest[0])<<16 + int(rest[1])<<8 + int(rest[2])
			if len(rest) < n {
				break
			}
			if err := f.take(rest[3], rest[4], binary.BigEndian.Uint32(rest[5:])&(1<<31-1), rest[9:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		f.in = f.in[:copy(f.in, rest)]
	}
}

// ask begins the next stream.
func (f *frames) ask() {
	r := &f.d.spec.Requests[f.next%len(f.d.spec.Requests)]
	f.next++
	f.stream += 2
	var st *asked
	if n := len(f.free); n > 0 {
		st, f.free = f.free[n-1], f.free[:n-1]
	} else {
		st = new(asked)
	}
	*st = asked{want: r.Want, ends: r.Body != nil}
	f.streams[f.stream] = st
	if r.Body == nil {
		f.out = appendFrame(f.out, frameHeaders, flagEndHeaders|flagEndStream, f.stream, r.Bytes)
		return
	}
	f.out = appendFrame(f.out, frameHeaders, flagEndHeaders, f.stream, r.Bytes)
	f.out = appendFrame(f.out, frameData, flagEndStream, f.stream, r.Body)
}

func (f *frames) take(kind, flags byte, id uint32, text []byte) error {
	st := f.streams[id]
	switch kind {
	case frameData, frameHeaders:
		if st == nil || flags&(flagPadded|flagPriority) != 0 || kind == frameHeaders && flags&flagEndHeaders == 0 {
			return fmt.Errorf("a frame of kind %d, flags %#x, stream %d, that nobody asked for", kind, flags, id)
		}
		if kind == frameHeaders {
			f.on = st
			if _, err := f.fields.Write(text); err != nil {
				return err
			}
		} else {
			if f.taken += len(text); f.taken > wide/2 {
				f.out = appendFrame(f.out, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(f.taken)))
				f.taken = 0
			}
			if !bytes.HasPrefix(st.want, text) {
				return fmt.Errorf("a wrong body: %q instead of %q", cut(text), cut(st.want))
			}
			st.want = st.want[len(text):]
		}
		if flags&flagEndStream != 0 {
			return f.answered(id, st)
		}
	case frameSettings:
		if flags&flagAck == 0 {
			f.out = appendFrame(f.out, frameSettings, flagAck, 0, nil)
		}
	case framePing:
		if flags&flagAck == 0 {
			f.out = appendFrame(f.out, framePing, flagAck, 0, text)
		}
	case frameReset:
		return fmt.Errorf("the server resets a stream: %d", binary.BigEndian.Uint32(text))
	case frameGoAway:
		return errors.New("the server closes the connection")
	}
	return nil
}

func (f *frames) answered(id uint32, st *asked) error {
	switch {
	case !st.answers:
		return errors.New("not 200")
	case len(st.want) > 0:
		return fmt.Errorf("a body without its last %d bytes", len(st.want))
	case st.ends && st.call != "0":
		return fmt.Errorf("a call's status is %q", st.call)
	}
	delete(f.streams, id)
	f.free = append(f.free, st)
	f.d.answers.Add(1)
	if !f.d.ending.Load() {
		f.ask()
	}
	return nil
}

// block is a head of HTTP/2, of literals that no table keeps (RFC 7541, 6.2.2).
func block(method byte, scheme byte, path string, more ...string) []byte {
	text := func(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }
	b := text([]byte{method, scheme, 0x04}, path)
	b = text(append(b, 0x01), "bench.example")
	for i := 0; i < len(more); i += 2 {
		b = text(text(append(b, 0), more[i]), more[i+1])
	}
	return b
}

// The entries of the static table for methods and schemes.
const (
	blockGet, blockPost   = 0x82, 0x83
	blockHTTP, blockHTTPS = 0x86, 0x87
)

// Get2 is a GET request of HTTP/2 whose answer is want.
func Get2(path, want string, secure bool) Request {
	scheme := byte(blockHTTP)
	if secure {
		scheme = blockHTTPS
	}
	return Request{Bytes: block(blockGet, scheme, path), Want: []byte(want)}
}

// Call is a gRPC call with one message, which is answered by the same one.
func Call(path, message string) Request {
	text := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	text = append(text, message...)
	return Request{Bytes: block(blockPost, blockHTTPS, path, "content-type", "application/grpc", "te", "trailers"), Body: text, Want: text}
}
