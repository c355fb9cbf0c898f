package h2

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/andrestc/go-plugserver/internal/serve/replay"
)

// net/http's guards are in force: of whoever floods the server with what costs him little
// no more is taken after a while, whether his connection is closed or not read any more;
// one whose answers he does not read --write-timeout ends. A flood of SETTINGS has no
// such end, with net/http: those that wait for their acknowledgement share one, so that
// nothing is kept for them.
func TestFloods(t *testing.T) {
	const most = 64 << 20 // bytes that a client may send until then, most of them in sockets' buffers
	_, addr := serve(t, func(x *replay.Request) { t.Error("a handler is called") })
	frames := func(write func(fr *http2.Framer)) []byte {
		var out bytes.Buffer
		fr := http2.NewFramer(&out, nil)
		write(fr)
		return out.Bytes()
	}
	fields := func() []byte {
		var b bytes.Buffer
		enc := hpack.NewEncoder(&b)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "e"}, {":path", "/"}} {
			enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		return b.Bytes()
	}()
	more := func() []byte {
		var b bytes.Buffer
		hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 8<<10), Sensitive: true})
		return b.Bytes()
	}()
	settings := frames(func(fr *http2.Framer) { fr.WriteSettings() })
	for name, tt := range map[string]struct{ first, again []byte }{
		"pings": {settings, frames(func(fr *http2.Framer) { fr.WritePing(false, [8]byte{}) })},
		"a head without an end": {
			append(settings, frames(func(fr *http2.Framer) {
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields, EndStream: true})
			})...),
			frames(func(fr *http2.Framer) { fr.WriteContinuation(1, false, more) }),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			io.WriteString(nc, http2.ClientPreface+string(tt.first))
			flood := bytes.Repeat(tt.again, 1+(64<<10)/len(tt.again))
			sent := 0
			for err == nil && sent < most {
				var n int
				nc.SetWriteDeadline(time.Now().Add(time.Second))
				n, err = nc.Write(flood) // and nothing is read
				sent += n
			}
			if err == nil {
				t.Errorf("%d bytes were taken", sent)
			}
		})
	}
}

// A list of fields beyond the limit is answered 431, or ends the connection, and no handler sees it.
func TestLargeHead(t *testing.T) {
	_, addr := serve(t, func(x *replay.Request) { t.Error("a handler is called") })
	r, err := http.NewRequest("GET", "http://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"A", "B", "C"} {
		r.Header.Set(name, strings.Repeat("x", http.DefaultMaxHeaderBytes/2))
	}
	resp, err := client(t).Do(r)
	if err != nil {
		return // the connection is closed
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}
