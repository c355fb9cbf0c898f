package handlers

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// hijack takes the connection and echoes lines until one says quit.
func hijack(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("read") != "" {
		io.CopyN(io.Discard, r.Body, int64(number(r, "read", 0)))
	}
	switch r.FormValue("before") {
	case "write":
		io.WriteString(w, "written before\n")
	case "flush":
		io.WriteString(w, "flushed before\n")
		w.(http.Flusher).Flush()
	}
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		fmt.Fprintf(w, "hijack: %v\n%s", err, end)
		return
	}
	defer conn.Close()
	_, werr := w.Write([]byte("x"))
	_, _, again := w.(http.Hijacker).Hijack()
	_, tcp := conn.(*net.TCPConn)
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"+
		"type %T tcp %v remote %v local %v write %v again %v context %v\n", conn, tcp, conn.RemoteAddr(), conn.LocalAddr(), werr, again, r.Context().Err())
	if r.FormValue("body") != "" {
		n, err := io.ReadAll(r.Body)
		fmt.Fprintf(conn, "body %q %v\n", n, err)
	}
	if r.FormValue("return") != "" {
		return
	}
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			fmt.Fprintf(conn, "rest %q error %v\n", line, err)
			event(r, "hijacked ends with %v, context %v", err, r.Context().Err())
			event(r, "over")
			return
		}
		fmt.Fprintf(conn, "line %q\n", line)
		if line == "quit\n" {
			return
		}
	}
}

// raw reads from the connection itself, a byte at a time, with what the
// server had buffered first.
func raw(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	n := rw.Reader.Buffered()
	early, _ := rw.Reader.Peek(n)
	fmt.Fprintf(conn, "buffered %q\n", early)
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	for p := make([]byte, 1); ; {
		_, err := conn.Read(p)
		fmt.Fprintf(conn, "read %q %v\n", p, err)
		if err != nil || p[0] == '.' {
			return
		}
	}
}

// passOn hijacks and goes on in another goroutine.
func passOn(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	go func() {
		defer conn.Close()
		<-r.Context().Done()
		fmt.Fprintf(conn, "context %s\n", why(r.Context()))
		line, err := rw.ReadString('\n')
		fmt.Fprintf(conn, "line %q %v\n%s", line, err, end)
	}()
}

// socket is a WebSocket (RFC 6455) that echoes.
func socket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-Websocket-Key")
	if key == "" || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for {
		rw.Flush()
		op, payload, err := frame(rw.Reader)
		if err != nil {
			event(r, "socket ends with %v", err)
			event(r, "over")
			return
		}
		if op == 9 {
			op = 10
		}
		rw.Write([]byte{0x80 | op})
		switch n := len(payload); {
		case n < 126:
			rw.Write([]byte{byte(n)})
		case n < 1<<16:
			rw.Write(binary.BigEndian.AppendUint16([]byte{126}, uint16(n)))
		default:
			rw.Write(binary.BigEndian.AppendUint64([]byte{127}, uint64(n)))
		}
		rw.Write(payload)
		if op == 8 {
			rw.Flush()
			return
		}
	}
}

// frame reads one masked frame.
func frame(br *bufio.Reader) (op byte, payload []byte, err error) {
	h := make([]byte, 8)
	if _, err = io.ReadFull(br, h[:2]); err != nil {
		return 0, nil, err
	}
	op, n := h[0]&15, uint64(h[1]&127)
	if n == 126 {
		if _, err = io.ReadFull(br, h[:2]); err != nil {
			return 0, nil, err
		}
		n = uint64(binary.BigEndian.Uint16(h))
	} else if n == 127 {
		if _, err = io.ReadFull(br, h[:8]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(h)
	}
	mask := make([]byte, 4)
	if _, err = io.ReadFull(br, mask); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(br, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return op, payload, err
}

// waits for the end of the context, and tells why it ended.
func waits(w http.ResponseWriter, r *http.Request) {
	event(r, "begun")
	switch r.FormValue("first") {
	case "read":
		n, err := io.Copy(io.Discard, r.Body)
		event(r, "read %d %v", n, err)
	case "flush":
		io.WriteString(w, "ready\n")
		w.(http.Flusher).Flush()
	}
	select {
	case <-r.Context().Done():
		event(r, "context %s", why(r.Context()))
	case <-time.After(time.Duration(number(r, "ms", 3000)) * time.Millisecond):
		event(r, "context lives")
	}
	_, err := io.WriteString(w, end)
	event(r, "write %v", err)
	event(r, "over")
}

// notified waits for CloseNotify.
func notified(w http.ResponseWriter, r *http.Request) {
	gone := w.(http.CloseNotifier).CloseNotify()
	event(r, "begun")
	select {
	case <-gone:
		event(r, "notified")
	case <-time.After(time.Duration(number(r, "ms", 3000)) * time.Millisecond):
		event(r, "not notified")
	}
	io.WriteString(w, end)
	event(r, "over")
}

// leaving answers once the client says that it has left, and tells whether
// the context has ended by then.
func leaving(w http.ResponseWriter, r *http.Request) {
	event(r, "begun")
	for i := 0; i < 5000 && !signalled(r, "left"); i++ {
		time.Sleep(200 * time.Microsecond)
	}
	select {
	case <-r.Context().Done():
		event(r, "context %s", why(r.Context()))
	case <-time.After(2 * time.Second):
		event(r, "context lives")
	}
	event(r, "over")
}

// floods writes until that fails.
func floods(w http.ResponseWriter, r *http.Request) {
	event(r, "begun")
	p := make([]byte, 32<<10)
	for i := 0; i < 4<<10; i++ {
		if _, err := w.Write(p); err != nil {
			<-r.Context().Done()
			event(r, "write fails, context %v", r.Context().Err())
			event(r, "over")
			return
		}
	}
	event(r, "all written")
	event(r, "over")
}
