package equal

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"go/version"
	"hash/crc32"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2case is what a client of HTTP/2 says on one stream: a head, a body of so many
// pieces, trailers. do, if set, goes on from the head.
type h2case struct {
	name, method, target string
	fields               []string // name, value, ...
	body                 []string
	trailers             []string
	open                 bool // the stream is not ended with the last of these
	do                   func(c *h2conn)
	events               bool // handlers tell when they are over
	window               uint32
	leaves               bool                     // the handler has the connection end
	differs              func(want string) string // what is right, where that is not the reference's
}

// h2conn is a raw connection, which notes what comes.
type h2conn struct {
	nc    net.Conn
	fr    *http2.Framer
	enc   *hpack.Encoder
	block strings.Builder

	log        []string
	data       []byte
	ended      bool
	got        int // bytes of data in all
	eventsFile string
	mute       bool // grants nothing
}

// h2patience is how long a client waits for anything that has to come.
const h2patience = 10 * time.Second

func dialH2(srv server, window uint32) (*h2conn, error) {
	nc, err := net.Dial("tcp", srv.addr)
	if err != nil {
		return nil, err
	}
	if srv.tls != nil {
		cfg := srv.tls.Clone()
		cfg.NextProtos = []string{"h2"}
		nc = tls.Client(nc, cfg)
	}
	nc.SetDeadline(time.Now().Add(h2patience))
	c := &h2conn{nc: nc, fr: http2.NewFramer(nc, nc)}
	c.enc = hpack.NewEncoder(&c.block)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	io.WriteString(nc, http2.ClientPreface)
	var settings []http2.Setting
	if window > 0 {
		settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	}
	return c, c.fr.WriteSettings(settings...)
}

func (c *h2conn) fields(pairs ...string) []byte {
	c.block.Reset()
	for i := 0; i+1 < len(pairs); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return []byte(c.block.String())
}

func (c *h2conn) headers(end bool, pairs ...string) {
	c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.fields(pairs...), EndHeaders: true, EndStream: end})
}

// note ends the piece of data before it.
func (c *h2conn) note(format string, args ...any) {
	if len(c.data) > 0 {
		text := fmt.Sprintf("%q", c.data)
		if len(c.data) > 2000 {
			text = fmt.Sprintf("%d bytes, %x", len(c.data), sha256.Sum256(c.data))
		}
		c.log = append(c.log, "data "+text)
		c.data = nil
	}
	c.log = append(c.log, fmt.Sprintf(format, args...))
}

// step reads one frame.
func (c *h2conn) step() {
	f, err := c.fr.ReadFrame()
	if err != nil {
		c.note("connection ends: %v", err)
		c.ended = true
		return
	}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		var lines []string
		for _, hf := range f.Fields {
			lines = append(lines, hf.Name+": "+hf.Value)
		}
		slices.Sort(lines)
		c.note("headers %s", strings.Join(lines, ", "))
		c.over(f.StreamEnded())
	case *http2.DataFrame:
		n := len(f.Data())
		c.data = append(c.data, f.Data()...)
		c.got += n
		if n > 0 && !c.mute {
			c.fr.WriteWindowUpdate(0, uint32(n))
			c.fr.WriteWindowUpdate(1, uint32(n))
		}
		c.over(f.StreamEnded())
	case *http2.RSTStreamFrame:
		c.note("reset %v", f.ErrCode)
		c.ended = true
	case *http2.GoAwayFrame:
		c.note("goaway %v", f.ErrCode)
	case *http2.SettingsFrame:
		if !f.IsAck() {
			c.fr.WriteSettingsAck()
		}
	}
}

func (c *h2conn) over(end bool) {
	if end {
		c.note("end of stream")
		c.ended = true
	}
}

// until reads frames until cond holds, or the stream has ended.
func (c *h2conn) until(cond func() bool) {
	for !c.ended && !cond() {
		c.step()
	}
}

// leaves waits for the GOAWAY that the answer brings with it, and puts it first: net/http's
// server takes it and a stream's frames from two channels, so that its place is chance.
func (c *h2conn) leaves() {
	const goaway = "goaway NO_ERROR"
	for c.ended = false; !c.ended && !slices.Contains(c.log, goaway); {
		c.step()
	}
	if i := slices.Index(c.log, goaway); i >= 0 {
		c.log = slices.Insert(slices.Delete(c.log, i, i+1), 0, goaway)
	}
}

// event waits for a line of the case's handlers.
func (c *h2conn) event(text string) error {
	for end := time.Now().Add(h2patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if b, _ := os.ReadFile(c.eventsFile); strings.Contains(string(b), text) {
			return nil
		}
	}
	return fmt.Errorf("handlers never told %q", text)
}

// masked are the parts of a transcript that no two plays have in common.
var masked = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`date: [A-Z][^,]*, [^,]*GMT`), "date: masked"},
	{regexp.MustCompile(`remote [0-9.:]+ local`), "remote masked local"},
	{regexp.MustCompile(`TCPAddr [0-9.:]+ tls`), "TCPAddr masked tls"},
	{regexp.MustCompile(`h2-[0-9]+`), "id"},
	{regexp.MustCompile(`127\.0\.0\.1:[0-9]+`), "address"},
}

// playH2 plays a case against a server, and returns all that has come of it.
func playH2(s h2case, srv server, n int) (string, error) {
	c, err := dialH2(srv, s.window)
	if err != nil {
		return "", err
	}
	defer c.nc.Close()
	id := fmt.Sprintf("h2-%d", n)
	c.eventsFile = filepath.Join(srv.events, id)
	defer os.Remove(c.eventsFile)
	scheme := "http"
	if srv.tls != nil {
		scheme = "https"
	}
	last := !s.open && s.body == nil && s.trailers == nil && s.do == nil
	c.headers(last, append([]string{":method", s.method, ":scheme", scheme, ":authority", "e", ":path", s.target, "x-case", id}, s.fields...)...)
	for i, piece := range s.body {
		c.fr.WriteData(1, !s.open && s.do == nil && s.trailers == nil && i == len(s.body)-1, []byte(piece))
	}
	if s.trailers != nil {
		c.headers(true, s.trailers...)
	}
	if s.do != nil {
		s.do(c)
	}
	c.until(func() bool { return false })
	if s.events {
		if err := c.event("over\n"); err != nil {
			c.note("%v", err)
		}
		told, _ := os.ReadFile(c.eventsFile)
		c.note("told %q", told)
	}
	if s.leaves {
		c.leaves()
	}
	text := strings.Join(c.log, "\n")
	for _, m := range masked {
		text = m.re.ReplaceAllString(text, m.with)
	}
	return text, nil
}

// What a client of HTTP/2 gets, and what handlers see, is what net/http's own server
// gives, at rest and while handlers are replaced.
func TestEqualH2(t *testing.T) {
	if *releaseFlag != "" && version.Compare(*releaseFlag, "go1.24") < 0 {
		t.Skip("a reference of that release has no HTTP/2 in the clear")
	}
	only := regexp.MustCompile(*caseFlag)
	lim := map[string]string{"max-header-bytes": "8192", "http2": "true"}
	overTLS := startSecurePair(t, lim, "--max-header-bytes=8192", "--http2=all")
	clear := &pair{daemon: overTLS.daemon}
	clear.product = server{addr: overTLS.daemon.Addr, events: overTLS.product.events}
	clear.reference = server{addr: startReference(t, lim), events: overTLS.product.events}
	var n int
	compare := func(mode string, p *pair, share uint32) {
		for _, s := range h2cases() {
			if !only.MatchString(s.name) || *caseFlag == "" && !*allFlag && crc32.ChecksumIEEE([]byte(s.name))%share != 0 {
				continue
			}
			n++
			want, err := playH2(s, p.reference, 2*n)
			if err != nil {
				t.Fatal(err)
			}
			got, err := playH2(s, p.product, 2*n+1)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; got != want && i < 3; i++ { // of what the reference does one way or another
				want, _ = playH2(s, p.reference, 2*n)
			}
			if s.differs != nil {
				want = s.differs(want)
			}
			if got != want {
				t.Errorf("%s%s:\n got %s\nwant %s", mode, s.name, got, want)
			}
		}
	}
	compare("", clear, 2)
	compare(secured, overTLS, 8)
	whileReplaced(t, []*pair{clear}, func() {
		compare(replaced, clear, 4)
		compare(replaced+secured, overTLS, 8)
	})
}
