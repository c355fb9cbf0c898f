package e2e

import (
	"bufio"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// wireClient is a client written from RFC 9112 and 6455: what it sends and how
// it reads shares no code with the server. It never retries.
type wireClient struct {
	nc       net.Conn
	br       *bufio.Reader
	rnd      *rand.Rand
	upgraded bool
}

func newWireClient(nc net.Conn, rnd *rand.Rand) *wireClient {
	return &wireClient{nc: nc, br: bufio.NewReader(nc), rnd: rnd}
}

// text is n random characters.
func text(rnd *rand.Rand, n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rnd.IntN(len(alphabet))]
	}
	return string(b)
}

// reloadRequest is a request of random content.
type reloadRequest struct {
	method, target string
	pads           []string // values of X-Pad, which the handler joins
	content        string
	chunked        bool   // the content's length is not told
	trailer        string // of X-Trailer, behind chunks; "" for none
}

// randomRequest asks the path with a head of about so many bytes, and a body,
// in chunks or not, where body is not negative.
func randomRequest(rnd *rand.Rand, path string, head, body int, chunks bool) reloadRequest {
	r := reloadRequest{method: "GET", target: path + "?q=" + text(rnd, 12)}
	pad := text(rnd, max(1, head-150))
	if body >= 0 {
		r.method, r.content, r.chunked = "POST", text(rnd, body), chunks
		if trailer := text(rnd, 8); chunks && rnd.IntN(2) == 0 {
			r.trailer = trailer
		}
	}
	for rest := pad; len(rest) > 0; {
		n := min(len(rest), 1+rnd.IntN(20000))
		r.pads = append(r.pads, rest[:n])
		rest = rest[n:]
	}
	return r
}

// want is the answer that is right.
func (r reloadRequest) want() string {
	pad := strings.Join(r.pads, "")
	return fmt.Sprintf("%s %s pad %d %x body %d %x trailer %q\n",
		r.method, r.target, len(pad), sha256.Sum256([]byte(pad)), len(r.content), sha256.Sum256([]byte(r.content)), r.trailer)
}

// bytes are r in HTTP/1.1, with chunks of random sizes.
func (r reloadRequest) bytes(rnd *rand.Rand) string {
	var fields, sent strings.Builder
	for _, pad := range r.pads {
		fields.WriteString("X-Pad: " + pad + "\r\n")
	}
	switch {
	case r.chunked:
		fields.WriteString("Transfer-Encoding: chunked\r\n")
		for rest := r.content; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			fmt.Fprintf(&sent, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		sent.WriteString("0\r\n")
		if r.trailer != "" {
			fields.WriteString("Trailer: X-Trailer\r\n")
			sent.WriteString("X-Trailer: " + r.trailer + "\r\n")
		}
		sent.WriteString("\r\n")
	case r.method == "POST":
		fmt.Fprintf(&fields, "Content-Length: %d\r\n", len(r.content))
		sent.WriteString(r.content)
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: e2e.example\r\n%s\r\n%s", r.method, r.target, fields.String(), sent.String())
}

// send sends text in segments of at most largest bytes, with pauses of at most
// pause between them.
func (c *wireClient) send(text string, largest int, pause time.Duration) error {
	c.nc.SetDeadline(time.Now().Add(testbed.AnswerWait))
	for len(text) > 0 {
		n := len(text)
		if largest > 0 {
			n = min(n, 1+c.rnd.IntN(largest))
		}
		if _, err := io.WriteString(c.nc, text[:n]); err != nil {
			return err
		}
		if text = text[n:]; pause > 0 && len(text) > 0 {
			time.Sleep(time.Duration(c.rnd.Int64N(int64(pause))))
		}
	}
	return nil
}

// errGoodbye says that an answer announces the connection's end.
var errGoodbye = errors.New("the answer announces the end of the connection")

// receive reads one answer (RFC 9112, section 6) and checks it. piece is called
// with each chunk.
func (c *wireClient) receive(status int, want string, piece func(string)) error {
	c.nc.SetDeadline(time.Now().Add(testbed.AnswerWait))
	code, fields, err := c.head()
	if err != nil {
		return err
	}
	var body string
	if strings.EqualFold(fields["transfer-encoding"], "chunked") {
		body, err = c.chunks(piece)
	} else {
		n, _ := strconv.Atoi(fields["content-length"])
		b := make([]byte, n)
		_, err = io.ReadFull(c.br, b)
		body = string(b)
	}
	switch {
	case err != nil:
		return fmt.Errorf("in the body: %w", err)
	case code != status || body != want:
		return fmt.Errorf("got %d %.600q, want %d %.600q", code, body, status, want)
	case strings.EqualFold(fields["connection"], "close"):
		return errGoodbye
	}
	return nil
}

func (c *wireClient) head() (code int, fields map[string]string, err error) {
	line, err := c.line()
	if err != nil {
		return 0, nil, err
	}
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return 0, nil, fmt.Errorf("no status line: %q", line)
	}
	code, err = strconv.Atoi(line[9:12])
	for fields = make(map[string]string); err == nil; {
		if line, err = c.line(); line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		fields[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	return code, fields, err
}

func (c *wireClient) line() (string, error) {
	line, err := c.br.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func (c *wireClient) chunks(piece func(string)) (string, error) {
	var body strings.Builder
	for {
		line, err := c.line()
		if err != nil {
			return body.String(), err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return body.String(), fmt.Errorf("no chunk size: %q", line)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c.br, b); err != nil {
			return body.String(), err
		}
		if _, err := c.line(); err != nil {
			return body.String(), err
		}
		if n == 0 {
			return body.String(), nil // no trailer fields are expected
		}
		body.Write(b)
		if piece != nil {
			piece(string(b))
		}
	}
}

// upgrade opens a WebSocket (RFC 6455, section 4) with the head in segments.
func (c *wireClient) upgrade(path string, early string, largest int) error {
	key := base64.StdEncoding.EncodeToString([]byte(text(c.rnd, 16)))
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: e2e.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, key)
	if err := c.send(head+early, largest, time.Millisecond); err != nil {
		return err
	}
	code, fields, err := c.head()
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if err == nil && (code != 101 || fields["sec-websocket-accept"] != base64.StdEncoding.EncodeToString(sum[:])) {
		err = fmt.Errorf("upgrade: got %d %v", code, fields)
	}
	return err
}

// frame is a masked frame (section 5.2).
func (c *wireClient) frame(op byte, payload string) string {
	f := []byte{0x80 | op}
	if n := len(payload); n < 126 {
		f = append(f, 0x80|byte(n))
	} else {
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	}
	key := binary.BigEndian.AppendUint32(nil, c.rnd.Uint32())
	f = append(f, key...)
	for i := range len(payload) {
		f = append(f, payload[i]^key[i%4])
	}
	return string(f)
}

// echoed reads one frame and checks it.
func (c *wireClient) echoed(op byte, want string) error {
	c.nc.SetDeadline(time.Now().Add(testbed.AnswerWait))
	h := make([]byte, 4)
	if _, err := io.ReadFull(c.br, h[:2]); err != nil {
		return err
	}
	n := int(h[1])
	if n == 126 {
		if _, err := io.ReadFull(c.br, h[2:]); err != nil {
			return err
		}
		n = int(binary.BigEndian.Uint16(h[2:]))
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.br, b); err != nil {
		return err
	}
	if h[0] != 0x80|op || string(b) != want {
		return fmt.Errorf("frame: got %x %.100q, want %x %.100q", h[0], b, 0x80|op, want)
	}
	return nil
}
