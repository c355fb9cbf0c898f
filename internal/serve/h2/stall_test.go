package h2

import (
	"bytes"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/andrestc/go-plugserver/internal/serve/parts"
	"github.com/andrestc/go-plugserver/internal/serve/replay"
)

// A client whose window stays closed loses its stream, whether the handler still writes
// or has long returned, and no other.
func TestClientTakesNothing(t *testing.T) {
	for name, body := range map[string]int{"a long answer": 1 << 20, "a short answer": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan bool, 1)
			_, addr := serveWithin(t, 200*time.Millisecond, func(x *replay.Request) {
				exchange(t, x, func(w http.ResponseWriter, r *http.Request) {
					if w.Write(make([]byte, body)); body > parts.Window {
						<-r.Context().Done()
					}
					ended <- true
				})
			})
			fr := closedWindow(t, addr)
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					t.Fatalf("the stream is not ended: %v", err)
				}
				if r, ok := f.(*http2.RSTStreamFrame); ok {
					if r.StreamID != 1 {
						t.Errorf("stream %d is ended", r.StreamID)
					}
					break
				}
			}
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Error("the handler does not end")
			}
		})
	}
}

// closedWindow asks for an answer of which nothing is taken.
func closedWindow(t *testing.T, addr string) *http2.Framer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	var out, block bytes.Buffer
	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, nc)
	fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "e"}, {":path", "/"}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	if _, err := nc.Write(out.Bytes()); err != nil {
		t.Fatal(err)
	}
	return fr
}
