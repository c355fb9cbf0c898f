// Package link carries messages between the supervisor and one child over one
// Unix socket. Messages arrive in order; Send never blocks, Deliver not for
// long; the end of the stream means that the other side is dead.
package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// Kind says which of a Message's fields matter.
type Kind string

// What the supervisor tells its children.
const (
	Open   Kind = "open"   // serve under Limits; gate: with Key; cell: as Cell, called Name, load Plugins, prove them, report Ready or Refused
	Named  Kind = "named"  // cell: Plugins have these Versions, which was not known when they were to be loaded
	Listen Kind = "listen" // gate: accept from the listening sockets in FDs, those at Secure over TLS, those at Proxied with the PROXY protocol in front, report Ready
	Secure Kind = "secure" // gate: handshakes go by TLS from now on
	Join   Kind = "join"   // FDs lead to the gate (cell) or to cell Cell (gate): a socket, and handover's page
	Gone   Kind = "gone"   // gate: the process of cell Cell has ended
	Table  Kind = "table"  // Routes at Version are in force; answered by Ack; gate: where Since is not 0 those that were others at Since, and Gone have none any more
	Retire Kind = "retire" // cell: give every connection back, end what began within Grace, Stop, report Done
	Part   Kind = "part"   // Quit is to come: every answer from now on ends its connection; gate: accept no more; cell: report Parted
	Quit   Kind = "quit"   // end what began within Grace, close the rest, report Done
	Ping   Kind = "ping"   // answered by Pong with Stats
	// Access: lines of the access log go in Format to the first of FDs from now on, in the
	// place of the one before; the second, where there is one, is memory to gather them in.
	Access Kind = "access"

	Certify Kind = "certify" // certifier: get certificates as ACME says, and renew them, from now on
	Answers Kind = "answers" // certifier: the gate answers the Challenges that came as Seq
)

// What children tell the supervisor.
const (
	Ready   Kind = "ready"   // cell: its Plugins with their Patterns; gate: it accepts
	Refused Kind = "refused" // cell: Refusal of the plugin Name
	Ack     Kind = "ack"     // the table at Version is in force here
	Log     Kind = "log"     // Level, Text, Fields; Name of the plugin, where that is known
	Pong    Kind = "pong"    // Seq, Stats
	Parted  Kind = "parted"  // cell: no connection is left that could come back to the gate
	Broken  Kind = "broken"  // gate: the way from Cell has failed, Text says how; it has to end
	Done    Kind = "done"    // nothing is left to do; the process exits
	// Asked: certifier: Challenges are those that are open; answered by Answers with Seq.
	Asked Kind = "asked"
	// Certified: certifier: the certificate of the domain Name has come, as Text says it
	// ("obtained", "renewed", or "" where it was there), or, where there is a Refusal,
	// has not, and is tried again after Grace.
	Certified Kind = "certified"
	// Unjoined: this process had no descriptor for what came with Join; gate:
	// of cell Cell. It is to come again.
	Unjoined Kind = "unjoined"
	// Unlogged: this process had no descriptor for what came with Access, which is to come again.
	Unlogged Kind = "unlogged"
)

// Route is one pattern and the cell that serves it.
type Route struct {
	Pattern string `json:"pattern"` // of Limits.Mux
	Cell    uint64 `json:"cell"`    // 0 while it is being started
	// Down says that no cell is being started: a request need not wait.
	Down bool `json:"down,omitempty"`
	// Hold is how long a request waits for the cell; 0 is Limits.Hold, below it not at all.
	Hold   time.Duration `json:"hold,omitempty"`
	Canary Canary        `json:"canary,omitzero"`
}

// HTTP2 says on which connections HTTP/2 is spoken.
type HTTP2 string

const (
	HTTP2OverTLS HTTP2 = "tls" // only where it is agreed on by ALPN, as with net/http
	HTTP2All     HTTP2 = "all" // also in the clear, with prior knowledge
	HTTP2Off     HTTP2 = "off"
)

// Limits bound what a client may do.
type Limits struct {
	IdleTimeout    time.Duration `json:"idle_timeout,omitempty"`
	HeaderTimeout  time.Duration `json:"header_timeout,omitempty"`
	WriteTimeout   time.Duration `json:"write_timeout,omitempty"` // gate: how long a client may take nothing
	MaxHeaderBytes int           `json:"max_header_bytes,omitempty"`
	MaxConns       int           `json:"max_conns,omitempty"` // of all processes together; 0 is no limit
	Hold           time.Duration `json:"hold,omitempty"`      // gate: how long a request waits for a cell to come back
	HTTP2          HTTP2         `json:"http2,omitempty"`     // gate: who may speak it
	Lends          bool          `json:"lends,omitempty"`     // gate: no client's connection is given to a cell
	// Proxies are believed who a client is, by the field ProxyHeader (package proxied).
	Proxies     []string       `json:"proxies,omitempty"`
	ProxyHeader string         `json:"proxy_header,omitempty"`
	Mux         routes.Dialect `json:"mux,omitempty"` // of all patterns
	// MaxPatterns and MaxPatternBytes bound what a handler gives; 0 is no bound
	// but MaxRoutes.
	MaxPatterns     int `json:"max_patterns,omitempty"`
	MaxPatternBytes int `json:"max_pattern_bytes,omitempty"`
}

// MaxRoutes bounds the RouteSizes of one message: of a route table, or of the
// patterns of a cell.
const MaxRoutes = wire.MaxBody - 64<<10

// RouteSize is how many bytes of a message a route with the pattern takes, at
// the most.
func RouteSize(pattern string) int {
	n := 96 // the words around it, and those of no canary, which cells of before Go 1.24 tell
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c < ' ' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&':
			n += 6 // \u003c
		case c >= utf8.RuneSelf:
			n += 2 // of three bytes, U+2028 becomes six
		default:
			n++
		}
	}
	return n
}

// Stats are what a child counts.
type Stats struct {
	Requests int64 `json:"requests"`  // served since the start
	InFlight int64 `json:"in_flight"` // being served
	Conns    int   `json:"conns"`     // connections owned
	Dropped  int64 `json:"dropped"`   // log records not sent for want of room
	// Goroutines are all of the process, a handler's among them.
	Goroutines int `json:"goroutines"`
	// Plugins are the shares of a cell's plugins, by name, where it has several.
	Plugins map[string]Share `json:"plugins,omitempty"`
}

// Share is what one plugin has of its cell's Stats.
type Share struct {
	Requests int64 `json:"requests"`
	InFlight int64 `json:"in_flight"`
}

// Plugin is one handler's file in a cell.
type Plugin struct {
	Name     string   `json:"name"`           // the handler's
	Path     string   `json:"path,omitempty"` // of its copy in the store
	Version  string   `json:"version,omitempty"`
	Patterns []string `json:"patterns,omitempty"`
	Bounds   Bounds   `json:"bounds,omitzero"`
}

// Bounds are on a handler's requests; 0 is none.
type Bounds struct {
	MaxInFlight    int           `json:"max_in_flight,omitempty"`
	MaxBodyBytes   int64         `json:"max_body_bytes,omitempty"` // of a request
	RequestTimeout time.Duration `json:"request_timeout,omitempty"`
	// Unlogged says that they are not in the access log.
	Unlogged bool `json:"unlogged,omitempty"`
}

// TLS is what the gate needs for handshakes. It has private keys in it: no other child
// is told, and it is never logged.
type TLS struct {
	Pairs      []Pair `json:"pairs,omitempty"`
	ClientCAs  []byte `json:"client_cas,omitempty"`  // PEM
	ClientAuth int    `json:"client_auth,omitempty"` // a crypto/tls.ClientAuthType
	MinVersion uint16 `json:"min_version,omitempty"` // 0 is crypto/tls's default
	// Tickets are the keys of session tickets, 32 bytes each: the first makes new
	// ones, all are accepted.
	Tickets [][]byte `json:"tickets,omitempty"`
	// HSTS is the value of Strict-Transport-Security on answers over TLS; "" is none.
	HSTS string `json:"hsts,omitempty"`
	// Redirect is the port of HTTPS that requests in the clear are sent on to; 0 means
	// that they are served.
	Redirect int `json:"redirect,omitempty"`
	// Challenges are the questions of certificate authorities that are open, with their
	// answers.
	Challenges []Challenge `json:"challenges,omitempty"`
}

// Challenge is a question by which a certificate authority finds out whether a name is
// ours (RFC 8555, section 8). It is asked in the clear (HTTP-01) or by a handshake
// (TLS-ALPN-01).
type Challenge struct {
	Domain string `json:"domain"`
	Token  string `json:"token,omitempty"`  // HTTP-01: what is asked for
	Answer string `json:"answer,omitempty"` // HTTP-01: what is answered
	Pair   *Pair  `json:"pair,omitempty"`   // TLS-ALPN-01: what the handshake shows (RFC 8737)
}

// ACME is what the certifier goes by. It may have a secret in it.
type ACME struct {
	Dir       string   `json:"dir"` // the certifier's folder; what is in force is in LivePath
	Directory string   `json:"directory"`
	Domains   []string `json:"domains"`
	Email     string   `json:"email,omitempty"`
	EABKeyID  string   `json:"eab_key_id,omitempty"`
	EABKey    string   `json:"eab_key,omitempty"` // base64url, as the authority gives it
	// InTheClear says that somebody listens for HTTP without TLS.
	InTheClear bool `json:"in_the_clear,omitempty"`
}

// LivePath is the file in the certifier's folder that has the certificate of the domain,
// its chain and its key, all PEM: one file, so that they always belong together.
func LivePath(dir, domain string) string { return filepath.Join(dir, "live", domain+".pem") }

// Pair is a certificate, with its chain, and its key, both PEM.
type Pair struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// Message is one message of any kind.
type Message struct {
	Kind    Kind              `json:"kind"`
	Name    string            `json:"name,omitempty"`
	Cell    uint64            `json:"cell,omitempty"`
	Limits  Limits            `json:"limits,omitzero"`
	Key     []byte            `json:"key,omitempty"` // gate: handover.Server's
	Plugins []Plugin          `json:"plugins,omitempty"`
	Refusal *refusal.Error    `json:"refusal,omitempty"`
	Version uint64            `json:"version,omitempty"`
	Since   uint64            `json:"since,omitempty"`
	Routes  []Route           `json:"routes,omitempty"`
	Gone    []string          `json:"gone,omitempty"`
	Grace   time.Duration     `json:"grace,omitempty"`
	Level   string            `json:"level,omitempty"`
	Text    string            `json:"text,omitempty"`
	Fields  map[string]string `json:"fields,omitempty"`
	Seq     uint64            `json:"seq,omitempty"`
	Stats   *Stats            `json:"stats,omitempty"`
	Secure  []int             `json:"secure,omitempty"`  // places in FDs
	Proxied []int             `json:"proxied,omitempty"` // likewise
	Format  string            `json:"format,omitempty"`  // package access's
	TLS     *TLS              `json:"tls,omitempty"`
	ACME    *ACME             `json:"acme,omitempty"`

	Challenges []Challenge `json:"challenges,omitempty"`

	// FDs travel beside the message. The receiver owns them.
	FDs []*os.File `json:"-"`
}

// Line is what a Log says, on one line, its fields behind its text but for a
// stack.
func (m Message) Line() string {
	words := strings.Fields(clip(m.Text, maxText/8))
	for _, k := range slices.Sorted(maps.Keys(m.Fields)) {
		if v := m.Fields[k]; len(v) <= maxText/8 && !strings.Contains(v, "\n") {
			words = append(words, k+"="+v)
		}
	}
	return strings.Join(words, " ")
}

const (
	// maxText bounds the text of a log record and each of its fields' values,
	// in bytes, maxKey the fields' names, maxFields their number.
	maxText   = 32 << 10
	maxKey    = 200
	maxFields = 100
)

// Bounded returns a Log whose parts are of bounded length: a handler may log
// what it likes.
func (m Message) Bounded() Message {
	m.Text = clip(m.Text, maxText)
	size := 0
	for k, v := range m.Fields {
		size += len(v)
		if len(k) > maxKey {
			size = math.MaxInt / 2
		}
	}
	if len(m.Fields) <= maxFields && size <= maxText {
		return m
	}
	fields := make(map[string]string)
	size = 0
	for _, k := range slices.Sorted(maps.Keys(m.Fields)) {
		if len(fields) == maxFields-1 || size > 4*maxText {
			fields["dropped_fields"] = strconv.Itoa(len(m.Fields) - len(fields))
			break
		}
		v := clip(m.Fields[k], maxText)
		fields[clip(k, maxKey)] = v
		size += len(v)
	}
	m.Fields = fields
	return m
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes in all)", strings.ToValidUTF8(s[:most], ""), len(s))
}

// ChildFD is the descriptor on which a child finds its link.
const ChildFD = 3

const kindMessage = 'm'

// backlog bounds the messages that wait to be written, and so the memory that
// a child that does not read can cost.
const backlog = 4096

// sendPause is the longest pause before what could not be sent for now is sent
// again.
const sendPause = 100 * time.Millisecond

// ErrBacklog says that the other side has stopped reading.
var ErrBacklog = errors.New("send message: the other side does not read")

// Conn is one end of a link. Send may be called from many goroutines, Recv
// from one.
type Conn struct {
	wire *wire.Conn
	send func(kind byte, fds []int, parts ...[]byte) error // wire's
	done chan struct{}                                     // closed once nothing is written any more

	mu      sync.Mutex // guards the rest
	queue   []queued
	writing bool // there is a writer, or none any more
	closed  bool
	stalled bool  // Deliver has waited in vain, and nothing was written since
	err     error // that ended the writer
}

// queued is a message on its way.
type queued struct {
	text    *[]byte       // of a sign of life; nil of any other message
	message *Message      // nil of a sign of life
	written chan struct{} // closed once it is, or never will be; nil where nobody waits
}

// drop gives a message up.
func (q queued) drop() {
	if q.message != nil {
		closeFiles(q.message.FDs)
	}
	q.told()
}

// told tells who waits for the message.
func (q queued) told() {
	if q.written != nil {
		close(q.written)
	}
}

// New returns the link over f's socket and closes f.
func New(f *os.File) (*Conn, error) {
	wc, err := wire.FromFile(f)
	if err != nil {
		return nil, err
	}
	return &Conn{wire: wc, send: wc.Send, done: make(chan struct{})}, nil
}

// Send queues m, and takes its files over whatever it returns.
func (c *Conn) Send(m Message) error {
	if text := sign(&m); text != nil {
		return c.push(queued{text: text})
	}
	own := m // else m would be on the heap, of a sign of life too
	return c.push(queued{message: &own})
}

// Deliver is Send that returns once m is the kernel's: then it arrives even if
// this process ends at once. It waits for wait at the most, and after once in
// vain not at all until something is written again: a reader that stands still
// holds up nobody twice.
func (c *Conn) Deliver(m Message, wait time.Duration) error {
	q := queued{message: &m, written: make(chan struct{})}
	if err := c.push(q); err != nil {
		return err
	}
	c.mu.Lock()
	stalled := c.stalled
	c.mu.Unlock()
	if stalled {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-q.written:
	case <-t.C:
		c.mu.Lock()
		c.stalled = true
		c.mu.Unlock()
	}
	return nil
}

func (c *Conn) push(q queued) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	most := backlog
	if q.message != nil && q.message.Kind == Log {
		most /= 2 // an answer is not lost for those who log
	}
	if c.closed || len(c.queue) >= most {
		q.written = nil
		q.drop()
		if c.closed {
			return os.ErrClosed
		}
		return ErrBacklog
	}
	c.queue = append(c.queue, q)
	c.wake()
	return nil
}

// wake has what is queued be written. There is a writer only while there is something: a supervisor of
// thousands has as many links, whose goroutines would have a stack each. The caller holds mu.
func (c *Conn) wake() {
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// write is the writer. After Close it is the last one once the queue is written, and so it is after an
// error that does not pass at once: nothing can be sent after that.
func (c *Conn) write() {
	for {
		c.mu.Lock()
		queue := c.queue
		c.queue, c.writing = nil, len(queue) > 0 || c.closed
		more, closed := len(queue) > 0, c.closed
		c.mu.Unlock()
		for i, q := range queue {
			err := c.writeOne(q)
			q.told()
			c.mu.Lock()
			c.stalled, c.err = false, err
			c.mu.Unlock()
			if err != nil {
				for _, q := range queue[i+1:] {
					q.drop()
				}
				c.end()
				// Recv reports the end, after what the other side has said
				// before its own.
				c.wire.CloseWrite()
				c.wire.CloseRead()
				close(c.done)
				return
			}
		}
		switch {
		case closed:
			c.wire.Close()
			close(c.done)
			return
		case !more:
			return
		}
	}
}

// Err returns the error that has ended the sending, nil if none has.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// end gives up what is queued.
func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, q := range c.queue {
		q.drop()
	}
	c.queue = nil
}

func (c *Conn) writeOne(q queued) error {
	if q.text != nil {
		defer signs.Put(q.text)
		return c.try(nil, *q.text)
	}
	m := q.message
	defer closeFiles(m.FDs)
	body, err := encode(m)
	if err != nil {
		return err
	}
	fds := make([]int, len(m.FDs))
	for i, f := range m.FDs {
		fds[i] = int(f.Fd())
	}
	return c.try(fds, body)
}

// try sends a body again and again while there is no room.
func (c *Conn) try(fds []int, body []byte) error {
	for pause := time.Millisecond; ; pause = min(2*pause, sendPause) {
		err := c.send(kindMessage, fds, body)
		if !wire.Passing(err) {
			return err
		}
		time.Sleep(pause)
	}
}

// Recv returns the next message, or io.EOF once the other side is gone. One whose
// descriptors this process has no room for comes without them. After an error it is
// not to be called again.
func (c *Conn) Recv() (Message, error) {
	f, err := c.wire.Recv()
	if err != nil && !errors.Is(err, wire.ErrFDsLost) {
		return Message{}, err
	}
	m, err := decode(f.Body)
	for _, fd := range f.FDs {
		m.FDs = append(m.FDs, os.NewFile(uintptr(fd), "received"))
	}
	if err == nil && f.Kind != kindMessage {
		err = fmt.Errorf("receive message: unknown frame %q", f.Kind)
	}
	if err != nil {
		closeFiles(m.FDs)
		c.wire.Drop()
		return Message{}, err
	}
	return m, nil
}

// Later has do called once Recv has something to return, as wire.Conn's.
func (c *Conn) Later(do func()) bool { return c.wire.Later(do) }

func encode(m *Message) ([]byte, error) {
	if body := brief(m); body != nil {
		return body, nil
	}
	return json.Marshal(m)
}

func decode(body []byte) (Message, error) {
	if len(body) > 0 && body[0] == briefly {
		return ofBrief(body[1:])
	}
	if m, ok := signOf(body); ok {
		return m, nil
	}
	return decodeAny(body)
}

func decodeAny(body []byte) (m Message, err error) {
	if err := json.Unmarshal(body, &m); err != nil {
		return Message{}, fmt.Errorf("decode message: %w", err)
	}
	return m, nil
}

// CloseRead ends Recv once it has returned what was sent so far: the other side is
// dead.
func (c *Conn) CloseRead() { c.wire.CloseRead() }

// Finish waits, at most for wait, until what is queued was written, and tells
// the other side that nothing follows. Recv goes on.
func (c *Conn) Finish(wait time.Duration) {
	c.mu.Lock()
	c.closed = true
	c.wake()
	c.mu.Unlock()
	select {
	case <-c.done:
	case <-time.After(wait):
	}
}

// Close ends the link at once; Recv returns an error.
func (c *Conn) Close() {
	c.Finish(0)
	c.wire.Close()
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
