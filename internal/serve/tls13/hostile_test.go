package tls13

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"go/version"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// raw is a client's record layer that sends what no client should.
type raw struct {
	t     testing.TB
	nc    *net.TCPConn
	suite *tlskeys.Suite
	out   tlskeys.Half
	in    tlskeys.Half
}

// rawPair returns such a client, and the server: ours or crypto/tls's.
func rawPair(t testing.TB, ours bool) (r *raw, server net.Conn) {
	t.Helper()
	log := make(secrets)
	client, theirs, h := shaken(t, &tls.Config{SessionTicketsDisabled: true}, log)
	id := theirs.ConnectionState().CipherSuite
	r = &raw{t: t, nc: client.NetConn().(*net.TCPConn), suite: tlskeys.SuiteOf(id)}
	r.out = tlskeys.Half{Secret: log["CLIENT_TRAFFIC_SECRET_0"]}
	r.in = tlskeys.Half{Secret: log["SERVER_TRAFFIC_SECRET_0"]}
	for _, h := range []*tlskeys.Half{&r.out, &r.in} {
		if err := h.Ready(r.suite); err != nil {
			t.Fatal(err)
		}
	}
	if !ours {
		h.Over()
		return r, theirs
	}
	k, ok := h.Keys(id)
	if !ok {
		t.Fatal("no keys")
	}
	return r, moved(t, h.Conn, Begin(k))
}

// record seals a record.
func (r *raw) record(typ byte, data string, padding int) []byte {
	if padding == 0 {
		return r.out.Seal(nil, typ, []byte(data))
	}
	return r.out.Seal(nil, 0, append(append([]byte(data), typ), make([]byte, padding-1)...))
}

func (r *raw) send(b ...[]byte) { r.nc.Write(bytes.Join(b, nil)) }

// update is a KeyUpdate, behind which the client's keys are others.
func (r *raw) update(request byte) []byte {
	b := r.record(typeHandshake, string([]byte{24, 0, 0, 1, request}), 0)
	r.out.Update(r.suite)
	return b
}

// received tells all that the server has sent, until its end.
func (r *raw) received() (told string) {
	for {
		head := make([]byte, tlskeys.HeadSize)
		if _, err := io.ReadFull(r.nc, head); err != nil {
			return told
		}
		b := make([]byte, binary.BigEndian.Uint16(head[3:]))
		if _, err := io.ReadFull(r.nc, b); err != nil {
			return told + "cut "
		}
		p, err := r.in.Open(nil, append(head, b...))
		if err != nil {
			return told + "sealed by other keys "
		}
		typ := p[len(p)-1]
		p = p[:len(p)-1]
		told += fmt.Sprintf("%d:%q ", typ, p)
		if typ == typeHandshake {
			r.in.Update(r.suite)
		}
	}
}

// What a client may send, and what none should, is answered as crypto/tls does: the
// records that it gets, what is read, and the errors of reading and writing.
func TestRecordsAreAnsweredAsCryptoTLSDoes(t *testing.T) {
	if version.Compare(runtime.Version(), "go1.26") < 0 {
		t.Skip("the gate's crypto/tls is the measure, whatever a cell is built by: those before differ")
	}
	ccs := []byte{typeCCS, 3, 3, 0, 1, 1}
	many := func(r *raw, n int, one func() []byte) {
		for range n {
			r.send(one())
		}
	}
	for name, play := range map[string]func(r *raw){
		"nothing":             func(r *raw) {},
		"data":                func(r *raw) { r.send(r.record(typeData, "data", 0)) },
		"data, padded":        func(r *raw) { r.send(r.record(typeData, "data", 1000), r.record(typeData, "\x00\x00", 3)) },
		"the most":            func(r *raw) { r.send(r.record(typeData, strings.Repeat("x", maxPlaintext), 0)) },
		"the most padding":    func(r *raw) { r.send(r.record(typeData, "", maxPlaintext), r.record(typeData, "data", 0)) },
		"too much":            func(r *raw) { r.send(r.record(typeData, strings.Repeat("x", maxPlaintext+1), 0)) },
		"too much padding":    func(r *raw) { r.send(r.record(typeData, "data", maxPlaintext)) },
		"padding alone":       func(r *raw) { r.send(r.record(0, "", 5)) },
		"an oversized record": func(r *raw) { r.send([]byte{typeData, 3, 3, 0x41, 1}) },
		"the largest record":  func(r *raw) { r.send([]byte{typeData, 3, 3, 0x41, 0}, make([]byte, 0x4100)) },
		"another version":     func(r *raw) { r.send([]byte{typeData, 3, 1, 0, 20}, make([]byte, 20)) },
		"a broken record": func(r *raw) {
			b := r.record(typeData, "data", 0)
			b[7]++
			r.send(b)
		},
		"a broken head":       func(r *raw) { b := r.record(typeData, "data", 0); b[4]--; r.send(b[:len(b)-1]) },
		"a record twice":      func(r *raw) { b := r.record(typeData, "data", 0); r.send(b, b) },
		"a record left out":   func(r *raw) { r.record(typeData, "data", 0); r.send(r.record(typeData, "more", 0)) },
		"a short record":      func(r *raw) { r.send([]byte{typeData, 3, 3, 0, 3, 1, 2, 3}) },
		"a record of nothing": func(r *raw) { r.send([]byte{typeData, 3, 3, 0, 0}) },
		"not encrypted":       func(r *raw) { r.send([]byte{typeAlert, 3, 3, 0, 2, 1, 0}) },
		"HTTP":                func(r *raw) { r.send([]byte("GET / HTTP/1.1\r\n\r\n")) },
		"an unknown record":   func(r *raw) { r.send(r.record(99, "data", 0)) },
		"a heartbeat":         func(r *raw) { r.send(r.record(24, "\x01\x00\x00", 0)) },
		"a record cut":        func(r *raw) { b := r.record(typeData, "data", 0); r.send(b[:len(b)-1]) },
		"a head cut":          func(r *raw) { r.send(r.record(typeData, "data", 0), []byte{typeData, 3}) },

		"close_notify":           func(r *raw) { r.send(r.record(typeData, "data", 0), r.record(typeAlert, "\x01\x00", 0)) },
		"close_notify, fatal":    func(r *raw) { r.send(r.record(typeAlert, "\x02\x00", 0)) },
		"data behind it":         func(r *raw) { r.send(r.record(typeAlert, "\x01\x00", 0), r.record(typeData, "data", 0)) },
		"user_canceled":          func(r *raw) { r.send(r.record(typeAlert, "\x01\x5a", 0), r.record(typeData, "data", 0)) },
		"a fatal alert":          func(r *raw) { r.send(r.record(typeAlert, "\x02\x28", 0), r.record(typeData, "data", 0)) },
		"a warning":              func(r *raw) { r.send(r.record(typeAlert, "\x01\x64", 0), r.record(typeData, "data", 0)) },
		"an unknown alert":       func(r *raw) { r.send(r.record(typeAlert, "\x02\xfe", 0)) },
		"a short alert":          func(r *raw) { r.send(r.record(typeAlert, "\x02", 0)) },
		"a long alert":           func(r *raw) { r.send(r.record(typeAlert, "\x01\x00\x00", 0)) },
		"an empty alert":         func(r *raw) { r.send(r.record(typeAlert, "", 0)) },
		"ChangeCipherSpec":       func(r *raw) { r.send(ccs, r.record(typeData, "data", 0)) },
		"another of those":       func(r *raw) { r.send([]byte{typeCCS, 3, 3, 0, 1, 2}) },
		"a long one":             func(r *raw) { r.send([]byte{typeCCS, 3, 3, 0, 2, 1, 1}) },
		"an encrypted one":       func(r *raw) { r.send(r.record(typeCCS, "\x01", 0)) },
		"16 of those":            func(r *raw) { many(r, 16, func() []byte { return ccs }); r.send(r.record(typeData, "data", 0)) },
		"17 of those":            func(r *raw) { many(r, 17, func() []byte { return ccs }); r.send(r.record(typeData, "data", 0)) },
		"17, and data between":   func(r *raw) { many(r, 17, func() []byte { return append(r.record(typeData, "x", 0), ccs...) }) },
		"16 empty records":       func(r *raw) { many(r, 16, func() []byte { return r.record(typeData, "", 0) }) },
		"17 empty records":       func(r *raw) { many(r, 17, func() []byte { return r.record(typeData, "", 0) }) },
		"17 times user_canceled": func(r *raw) { many(r, 17, func() []byte { return r.record(typeAlert, "\x01\x5a", 0) }) },
		"KeyUpdate":              func(r *raw) { r.send(r.update(0), r.record(typeData, "data", 0)) },
		"KeyUpdate, requested":   func(r *raw) { r.send(r.update(1), r.record(typeData, "data", 0)) },
		"two of them": func(r *raw) {
			r.send(r.update(0), r.update(0), r.record(typeData, "data", 0), r.update(0), r.record(typeData, "more", 0))
		},
		"16 of them": func(r *raw) { many(r, 16, func() []byte { return r.update(0) }); r.send(r.record(typeData, "data", 0)) },
		"17 of them": func(r *raw) { many(r, 17, func() []byte { return r.update(0) }); r.send(r.record(typeData, "data", 0)) },
		"KeyUpdate, by old keys": func(r *raw) {
			r.send(r.record(typeHandshake, "\x18\x00\x00\x01\x00", 0), r.record(typeData, "data", 0))
		},
		"KeyUpdate, another": func(r *raw) { r.send(r.record(typeHandshake, "\x18\x00\x00\x01\x02", 0)) },
		"KeyUpdate, long":    func(r *raw) { r.send(r.record(typeHandshake, "\x18\x00\x00\x02\x00\x00", 0)) },
		"KeyUpdate in pieces": func(r *raw) {
			r.send(r.record(typeHandshake, "\x18\x00", 0), r.record(typeHandshake, "\x00\x01", 0), r.update2(), r.record(typeData, "data", 0))
		},
		"data within it":          func(r *raw) { r.send(r.record(typeHandshake, "\x18\x00", 0), r.record(typeData, "data", 0)) },
		"ChangeCipherSpec within": func(r *raw) { r.send(r.record(typeHandshake, "\x18\x00", 0), ccs) },
		"an alert within it":      func(r *raw) { r.send(r.record(typeHandshake, "\x18\x00", 0), r.record(typeAlert, "\x01\x00", 0)) },
		"an empty message":        func(r *raw) { r.send(r.record(typeHandshake, "", 0)) },
		"a ticket": func(r *raw) {
			r.send(r.record(typeHandshake, "\x04\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x00"[:17], 0))
		},
		"a Finished":         func(r *raw) { r.send(r.record(typeHandshake, "\x14\x00\x00\x20"+strings.Repeat("x", 32), 0)) },
		"an unknown message": func(r *raw) { r.send(r.record(typeHandshake, "\xff\x00\x00\x00", 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := func(ours bool) string {
				r, server := rawPair(t, ours)
				play(r)
				r.nc.CloseWrite()
				got, err := io.ReadAll(server)
				_, err2 := server.Read(make([]byte, 1))
				_, werr := io.WriteString(server, "answer")
				server.Close()
				mask := strings.NewReplacer(server.LocalAddr().String(), "SERVER", server.RemoteAddr().String(), "CLIENT")
				return mask.Replace(fmt.Sprintf("reads %.99q %v, then %v, writes: %v, the client gets: %s", got, err, err2, werr, r.received()))
			}
			if got, want := told(true), told(false); got != want && got != stricter[name] {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// stricter are the cases in which we do as RFC 8446 has it, and crypto/tls does not, or says
// more than it has to.
var stricter = map[string]string{
	"an encrypted one": unexpected, // sections 5 and D.4: no such record may be protected
	"a Finished":       unexpected, // crypto/tls reads on
	"a ticket":         unexpected,
}

const unexpected = `reads "" local error: tls: unexpected message, then local error: tls: unexpected message, writes: local error: tls: unexpected message, the client gets: 21:"\x02\n" 21:"\x01\x00" `

// update2 is the last byte of a KeyUpdate.
func (r *raw) update2() []byte {
	b := r.record(typeHandshake, "\x00", 0)
	r.out.Update(r.suite)
	return b
}

// A client that asks for new keys has them with the next bytes, however often it asks, and
// in whatever process these come from.
func TestKeyUpdateMoves(t *testing.T) {
	r, server := rawPair(t, true)
	ours := server.(*Conn)
	r.send(r.record(typeHandshake, "\x18\x00", 0))
	time.Sleep(5 * time.Millisecond)
	ours.TryAwait()
	ours = again(t, ours)
	b := r.record(typeHandshake, "\x00\x01\x01", 0)
	r.out.Update(r.suite)
	r.send(b, r.update(1), r.record(typeData, "ask", 0))
	if got := full(t, ours, 3); string(got) != "ask" {
		t.Errorf("%q", got)
	}
	ours = again(t, ours)
	io.WriteString(ours, "one")
	ours = again(t, ours)
	io.WriteString(ours, "two")
	ours.Close()
	want := `22:"\x18\x00\x00\x01\x00" 23:"one" 23:"two" 21:"\x01\x00" `
	if got := r.received(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A client is told why its connection ends, even where somebody writes meanwhile.
func TestAlertBehindAWrite(t *testing.T) {
	r, server := rawPair(t, true)
	ours := server.(*Conn)
	ours.writing.Lock() // somebody writes
	r.send([]byte{typeData, 3, 3, 0, 3, 1, 2, 3})
	if _, err := ours.Read(make([]byte, 1)); err == nil {
		t.Error("it is read")
	}
	ours.doneWriting()
	if _, err := io.WriteString(ours, "x"); err == nil || err.Error() != "local error: tls: bad record MAC" {
		t.Errorf("it is written: %v", err)
	}
	ours.Close()
	if got := r.received(); got != `21:"\x02\x14" 21:"\x01\x00" ` {
		t.Error(got)
	}
}

// Whatever comes, in whatever pieces, and from wherever the connection goes on: nothing
// but what a client has sealed is read, and nothing is kept beyond a record.
func FuzzRead(f *testing.F) {
	f.Add([]byte{typeData, 3, 3, 0, 3, 1, 2, 3}, byte(1))
	f.Add([]byte{typeCCS, 3, 3, 0, 1, 1, typeCCS, 3, 3, 0, 1, 1}, byte(3))
	f.Add([]byte{0x80, 2, 1, 3, 0xff}, byte(2))
	f.Fuzz(func(t *testing.T, rubbish []byte, piece byte) {
		s := suites[int(piece)%len(suites)]
		up, down := bytes.Repeat([]byte{1}, s.Size), bytes.Repeat([]byte{2}, s.Size)
		c, nc := tcp(t)
		server := moved(t, nc, &State{suite: s, in: side{secret: up}, out: side{secret: down}})
		r := &raw{t: t, nc: c, suite: s, out: tlskeys.Half{Secret: up}, in: tlskeys.Half{Secret: down}}
		r.out.Ready(s)
		go func() {
			r.send(r.record(typeData, "data", int(piece)))
			for b := rubbish; len(b) > 0; {
				k := min(len(b), int(piece)+1)
				c.Write(b[:k])
				b = b[k:]
			}
			c.CloseWrite()
		}()
		got := ""
		for {
			b := make([]byte, 3)
			n, err := server.Read(b)
			if got += string(b[:n]); err != nil {
				break
			}
			if len(server.unopened()) > maxRecord || len(server.hand) > maxHand {
				t.Fatal("more is kept than a record")
			}
			server = again(t, server)
		}
		if got != "data" {
			t.Errorf("%q was read", got)
		}
	})
}
