package handover

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/tls13"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// acceptSealed makes s accept over TLS 1.3, until the test ends.
func acceptSealed(t testing.TB, s *Server) (address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				h := tlskeys.NewHandshake(nc)
				server := tls.Server(h, &tls.Config{Certificates: []tls.Certificate{pair}, KeyLogWriter: h.KeyLog()})
				if err := server.Handshake(); err != nil {
					t.Error(err)
					return
				}
				state := server.ConnectionState()
				keys, ok := h.Keys(state.CipherSuite)
				rc, err := nc.(*net.TCPConn).SyscallConn()
				if err != nil || !ok {
					t.Error("no state", err)
					return
				}
				rc.Control(func(fd uintptr) {
					dup, err := syscall.Dup(int(fd))
					if err != nil {
						t.Error(err)
						return
					}
					s.TakeSealed(dup, nc.RemoteAddr(), nc.LocalAddr(), &state, "", keys)
				})
			}()
		}
	}()
	return l.Addr().String()
}

// noting notes what comes.
type noting struct {
	net.Conn
	came []byte
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.Conn.Read(p)
	n.came = append(n.came, p[:max(k, 0)]...)
	return k, err
}

// told reports whether the last record that has come is as long as an alert: crypto/tls does
// not tell close_notify from an end without a word.
func (c *client) told() bool {
	came, last := c.conn.(*tls.Conn).NetConn().(*noting).came, 0
	for len(came) >= 5 {
		last = int(came[3])<<8 | int(came[4])
		came = came[min(len(came), 5+last):]
	}
	return last == 2+1+16
}

func dialSealed(t testing.TB, address string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	conn := tls.Client(&noting{Conn: nc}, &tls.Config{InsecureSkipVerify: true})
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{t, conn, bufio.NewReader(conn)}
}

// A sealed connection travels as a clear one does: there and back, and by requests alone.
func TestSealedTravels(t *testing.T) {
	a, b, _ := newSides(t, Limits{})
	travels(t, a, b, dialSealed(t, acceptSealed(t, a.srv)))
}

// So it does with bodies of every framing, in whatever records they come.
func TestAnySealedRequestStream(t *testing.T) {
	a, _, _ := newSides(t, Limits{})
	address := acceptSealed(t, a.srv)
	var wg sync.WaitGroup
	for seed := range uint64(6) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			randomStream(t, mathrand.New(mathrand.NewPCG(7, seed)), dialSealed(t, address), 200)
		}()
	}
	wg.Wait()
}

// A connection without requests does not stay with the gate.
func TestSealedRest(t *testing.T) {
	a, b, _ := newSides(t, Limits{IdleTimeout: time.Minute})
	c := dialSealed(t, acceptSealed(t, a.srv))
	for range 3 {
		for _, name := range []string{"b", "a"} {
			c.write(fmt.Sprintf(get, name))
			c.expect(name, "GET", "/"+name, "")
		}
		c.write(fmt.Sprintf(get, "b"))
		c.expect("b", "GET", "/b", "")
		await(t, "the connection rests in b", func() bool { return a.srv.Conns() == 0 && b.srv.Conns() == 1 })
	}
	b.srv.Retire()
	await(t, "the connection is a's", func() bool { return a.srv.Conns() == 1 && b.srv.Conns() == 0 })
	c.write(fmt.Sprintf(get, "a"))
	c.expect("a", "GET", "/a", "")
}

// Whatever ends a connection, its client is told that nothing follows (close_notify).
func TestSealedEnds(t *testing.T) {
	const last = "GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, tt := range map[string]struct {
		ask  string // what is asked first
		then func(t *testing.T, a, b *side, c *client)
	}{
		"the gate's last answer":    {fmt.Sprintf(last, "a"), nil},
		"a cell's last answer":      {fmt.Sprintf(last, "b"), nil},
		"behind others":             {fmt.Sprintf(get, "b") + fmt.Sprintf(get, "a") + fmt.Sprintf(last, "b"), nil},
		"a malformed request":       {"rubbish\r\n\r\n", nil},
		"a malformed one in a cell": {fmt.Sprintf(get, "b") + "rubbish\r\n\r\n", nil},
		"idle, in a cell":           {fmt.Sprintf(get, "b"), nil},
		"idle, in the gate":         {fmt.Sprintf(get, "a"), nil},
		"the end of a cell":         {fmt.Sprintf(get, "b"), func(t *testing.T, a, b *side, c *client) { b.srv.Part() }},
		"the end of the gate":       {fmt.Sprintf(get, "a"), func(t *testing.T, a, b *side, c *client) { a.srv.Part() }},
		"closed in haste": {fmt.Sprintf(get, "b"), func(t *testing.T, a, b *side, c *client) {
			await(t, "it is answered", func() bool { return b.saw.Load() == 1 })
			c.br.Peek(1) // the answer has come
			for _, conn := range b.srv.owned() {
				await(t, "who has written is done", conn.endNow)
				conn.drop()
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lim := Limits{IdleTimeout: time.Minute}
			if strings.HasPrefix(name, "idle") {
				lim.IdleTimeout = 50 * time.Millisecond
			}
			a, b, _ := newSides(t, lim)
			c := dialSealed(t, acceptSealed(t, a.srv))
			c.write(tt.ask)
			if tt.then != nil {
				if _, err := c.br.Peek(1); err != nil {
					t.Fatal(err)
				}
				tt.then(t, a, b, c)
			}
			got, err := io.ReadAll(c.br)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 ") || !c.told() {
				t.Errorf("%q, %v, close_notify %v", got, err, c.told())
			}
		})
	}
}

// A handler gets a connection that speaks for the client's, and no access to the bytes
// below; what it has not read yet, and the end of either side, are where they belong.
func TestSealedHijack(t *testing.T) {
	for _, body := range []string{"", "Content-Length: 4\r\n"} { // net/http serves the second
		seen := make(chan error, 1)
		a, _, _ := newSides(t, Limits{}, func(s *side) {
			mux := http.NewServeMux()
			mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {
				io.ReadAll(r.Body)
				nc, rw, err := w.(http.Hijacker).Hijack()
				if err != nil {
					seen <- err
					return
				}
				defer nc.Close()
				if _, ok := nc.(syscall.Conn); ok {
					err = errors.New("its socket can be had")
				}
				if nc.RemoteAddr().String() != r.RemoteAddr {
					err = errors.New("another address")
				}
				io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\n\r\nready")
				b, readErr := io.ReadAll(rw)
				nc.Write(b)
				seen <- errors.Join(err, readErr)
			})
			mux.Handle("/", Elsewhere)
			if s.name == "b" {
				s.srv.Mux = func() Mux { return mux }
			}
		})
		c := dialSealed(t, acceptSealed(t, a.srv))
		rest := "early"
		if body != "" {
			rest = "body" + rest
		}
		c.write("GET /b HTTP/1.1\r\nHost: x\r\n" + body + "\r\n" + rest)
		c.write("more")
		c.br.Peek(1)
		c.write(strings.Repeat("x", 100_000))
		c.conn.(*tls.Conn).CloseWrite()
		got, err := io.ReadAll(c.br)
		if want := "readyearlymore" + strings.Repeat("x", 100_000); err != nil || !strings.HasSuffix(string(got), want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := <-seen; err != nil {
			t.Error(err)
		}
	}
}

// A request's context ends with what its client says last, whoever serves it; what the
// client sends meanwhile is kept.
func TestSealedContext(t *testing.T) {
	for _, head := range []string{"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"} {
		for _, more := range []string{"", fmt.Sprintf(get, "b/next")} {
			begun, ended := make(chan struct{}), make(chan error, 1)
			a, _, _ := newSides(t, Limits{}, func(s *side) {
				mux := s.mux()
				busy := http.NewServeMux()
				busy.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {
					io.ReadAll(r.Body)
					done := r.Context().Done()
					close(begun)
					if more != "" {
						time.Sleep(20 * time.Millisecond)
						ended <- r.Context().Err()
						return
					}
					select {
					case <-done:
						ended <- nil
					case <-time.After(20 * time.Second):
						ended <- errors.New("it lives")
					}
				})
				busy.Handle("/", mux)
				if s.name == "b" {
					s.srv.Mux = func() Mux { return busy }
				}
			})
			c := dialSealed(t, acceptSealed(t, a.srv))
			c.write(head)
			<-begun
			if more != "" {
				c.write(more)
			} else {
				c.conn.(*tls.Conn).CloseWrite()
			}
			if err := <-ended; err != nil {
				t.Errorf("%q, then %q: %v", head, more, err)
			}
			if more != "" {
				if resp, err := http.ReadResponse(c.br, nil); err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				c.expect("b", "GET", "/b/next", "")
			}
		}
	}
}

// Who looks at the context late, when the client has ended already, sees so at once.
func TestSealedContextLooksLate(t *testing.T) {
	begun, left, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	a, _, _ := newSides(t, Limits{}, func(s *side) {
		if s.name != "b" {
			return
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-left
			time.Sleep(10 * time.Millisecond)
			ended <- r.Context().Err()
		})
		s.srv.Mux = func() Mux { return mux }
	})
	c := dialSealed(t, acceptSealed(t, a.srv))
	c.write(fmt.Sprintf(get, "b"))
	<-begun
	c.conn.(*tls.Conn).CloseWrite()
	close(left)
	if <-ended == nil {
		t.Error("it lives")
	}
}

// What a process gives back that runs handlers is bounded, and cannot have a sealed
// connection be another, or be spoken to in the clear.
func TestHostileSealed(t *testing.T) {
	sealed := func(f *foe) (message, int) {
		f.client = dialSealed(f.t, acceptSealed(f.t, f.gate))
		return f.connection()
	}
	for name, tt := range map[string]struct {
		want error
		do   func(f *foe)
	}{
		"as it was": {nil, func(f *foe) { f.give(sealed(f)) }},
		"without its keys": {errStamp, func(f *foe) {
			m, fd := sealed(f)
			m.keys = nil
			f.give(m, fd)
		}},
		"without its handshake": {errMessage, func(f *foe) {
			m, fd := sealed(f)
			m.tls = ""
			f.give(m, fd)
		}},
		"a clear one with keys": {errMessage, func(f *foe) {
			m, _ := sealed(f)
			f.client = dial(f.t, f.address)
			clear, fd := f.connection()
			clear.keys = m.keys
			f.give(clear, fd)
		}},
		"a clear one with keys and a handshake": {errStamp, func(f *foe) {
			m, _ := sealed(f)
			f.client = dial(f.t, f.address)
			clear, fd := f.connection()
			clear.keys, clear.tls = m.keys, m.tls
			f.give(clear, fd)
		}},
		"another's keys": {nil, func(f *foe) { // which is its own connection's harm
			other, _ := sealed(f)
			m, fd := sealed(f)
			m.keys = other.keys
			f.give(m, fd)
		}},
		"malformed keys": {nil, func(f *foe) { // the connection is closed
			m, fd := sealed(f)
			m.keys = m.keys[1:]
			f.give(m, fd)
		}},
		"more than there can be": {errMessage, func(f *foe) {
			m, fd := sealed(f)
			m.keys = make([]byte, tls13.MaxState+1)
			f.give(m, fd)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFoe(t, "key")
			tt.do(f)
			f.wire.CloseWrite()
			if err := <-f.ended; !errors.Is(err, tt.want) {
				t.Errorf("it ends with %v, want %v", err, tt.want)
			}
		})
	}
}
