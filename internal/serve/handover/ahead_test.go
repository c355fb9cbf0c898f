package handover

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/serve/http1"
)

// bodyServers returns the address of net/http with this mux, and that of a cell's
// behind a gate.
func bodyServers(t *testing.T, mux *http.ServeMux) map[string]string {
	reference := httptest.NewServer(mux)
	t.Cleanup(reference.Close)
	_, _, address := newSides(t, Limits{}, func(s *side) {
		if s.name == "b" {
			s.srv.Mux = func() Mux { return mux }
		}
	})
	return map[string]string{"net/http": reference.Listener.Addr().String(), "ours": address}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// One system call serves several reads, and takes nothing behind the body.
func TestReadAhead(t *testing.T) {
	nc, client := tcpPair(t)
	s := NewServer(context.Background(), hello, Limits{}, nil)
	w := &wholeConn{Conn: s.newConn(nc, nc.RemoteAddr(), nc.LocalAddr())}
	w.body = http1.NewBody(20 << 10)
	w.stage.Store(framed)
	w.setPosed(true)
	sent := randomBytes(21 << 10)
	if _, err := client.Write(sent); err != nil {
		t.Fatal(err)
	}
	all := make([]byte, len(sent))
	await(t, "what was sent", func() (come bool) {
		w.reader().raw.Control(func(fd uintptr) {
			n, _, _ := syscall.Recvfrom(int(fd), all, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			come = n == len(sent)
		})
		return come
	})
	p := make([]byte, 8<<10)
	var got []byte
	for _, waits := range []int{12 << 10, 4 << 10, 0} {
		n, err := w.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
		if len(w.pending()) != waits {
			t.Errorf("%d bytes wait behind the %d that were read, want %d", len(w.pending()), len(got), waits)
		}
	}
	if w.ahead.lent {
		t.Error("the buffer was not given back")
	}
	rest := make([]byte, 1<<10)
	if _, err := io.ReadFull(nc, rest); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, rest...), sent) {
		t.Error("other bytes than those sent")
	}
}

// A handler sees of a body that was read ahead what it sees with net/http.
func TestReadAheadSameAsNetHTTP(t *testing.T) {
	goOn := make(chan bool)
	mux := http.NewServeMux()
	mux.HandleFunc("/b/limit", func(w http.ResponseWriter, r *http.Request) {
		<-goOn // all has been sent
		piece, rc := make([]byte, 8<<10), http.NewResponseController(w)
		for range 2 { // the first comes with the head
			r.Body.Read(piece)
		}
		rc.SetReadDeadline(time.Now().Add(-time.Second))
		n, err := r.Body.Read(piece)
		fmt.Fprintf(w, "late: %d, %v\n", n, err)
	})
	mux.HandleFunc("/b/cut", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "cut: %d, %v\n", n, err)
	})
	// The rest of the body is the handler's: in its reader, and on the connection.
	mux.HandleFunc("/b/hijack", func(w http.ResponseWriter, r *http.Request) {
		<-goOn
		piece := make([]byte, 4<<10)
		var all []byte
		for range 2 {
			n, _ := r.Body.Read(piece)
			all = append(all, piece[:n]...)
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		early := make([]byte, rw.Reader.Buffered())
		io.ReadFull(rw, early)
		rest, err := io.ReadAll(c)
		all = append(append(all, early...), rest...)
		fmt.Fprintf(c, "hijacked: %x %v\n", all, err)
	})
	servers := bodyServers(t, mux)
	body := string(randomBytes(60 << 10))
	for _, path := range []string{"/b/limit", "/b/cut", "/b/hijack"} {
		said := make(map[string]string)
		for name, address := range servers {
			c := dial(t, address)
			c.write(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body)+1, body))
			c.conn.(*net.TCPConn).CloseWrite()
			if path != "/b/cut" {
				goOn <- true
			}
			all, _ := io.ReadAll(c.br) // what the handler has not read may have it reset
			text := anyDate.ReplaceAllString(string(all), "")
			said[name] = anyPort.ReplaceAllString(text, "127.0.0.1:1")
		}
		if said["ours"] != said["net/http"] || said["ours"] == "" {
			t.Errorf("%s:\n%.300q\nwith net/http:\n%.300q", path, said["ours"], said["net/http"])
		}
	}
}

var anyPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// Bodies of all sizes, read in pieces of all sizes, one behind the other.
func TestReadAheadBytes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/b", func(w http.ResponseWriter, r *http.Request) {
		var all []byte
		piece := make([]byte, 1+rand.IntN(40<<10))
		for {
			n, err := r.Body.Read(piece[:1+rand.IntN(len(piece))])
			if all = append(all, piece[:n]...); err != nil {
				w.Write(all)
				return
			}
		}
	})
	address := bodyServers(t, mux)["ours"]
	c := dial(t, address)
	const requests = 60
	var text strings.Builder
	var bodies [][]byte
	for range requests {
		b := randomBytes(rand.IntN(200 << 10))
		bodies = append(bodies, b)
		fmt.Fprintf(&text, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
	}
	go io.WriteString(c.conn, text.String())
	for i, want := range bodies {
		resp, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d: %d bytes of %d, %v", i, len(got), len(want), err)
		}
	}
}

// tcpPair returns the two ends of a connection.
func tcpPair(t *testing.T) (server, client *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	sc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); sc.Close() })
	return sc.(*net.TCPConn), nc.(*net.TCPConn)
}
