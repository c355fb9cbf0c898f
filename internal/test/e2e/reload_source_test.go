package e2e

// reloadSource answers with what it was told, streams, and echoes WebSockets.
const reloadSource = `package main

import (
	"bufio"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

var (
	pattern = "PATTERN:........................................"
	version = "VERSION:................................"
)

func value(s string) string {
	_, v, _ := strings.Cut(s, ":")
	return strings.TrimRight(v, ".")
}

func Handlers() map[string]http.HandlerFunc {
	p := value(pattern)
	_ = value(version)
	return map[string]http.HandlerFunc{p + "/echo": echo, p + "/stream": stream, p + "/socket": socket}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	pad := strings.Join(r.Header["X-Pad"], "")
	fmt.Fprintf(w, "%s %s pad %d %x body %d %x trailer %q\n", r.Method, r.RequestURI, len(pad), sha256.Sum256([]byte(pad)), len(body), sha256.Sum256(body), r.Trailer.Get("X-Trailer"))
}

func stream(w http.ResponseWriter, r *http.Request) {
	for i := range 20 {
		fmt.Fprintf(w, "%s %d\n", r.FormValue("q"), i)
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
	}
}

func socket(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
	for rw.Flush() == nil {
		head, payload, err := frame(rw.Reader)
		if err != nil {
			return
		}
		rw.Write(head)
		rw.Write(payload)
		if head[0]&15 == 8 {
			rw.Flush()
			return
		}
	}
}

// frame reads a masked frame, and returns the head to answer with.
func frame(br *bufio.Reader) (head, payload []byte, err error) {
	h := make([]byte, 4)
	if _, err = io.ReadFull(br, h[:2]); err != nil {
		return nil, nil, err
	}
	n, head := int(h[1]&127), []byte{h[0], h[1] & 127}
	if n == 126 {
		if _, err = io.ReadFull(br, h[2:]); err != nil {
			return nil, nil, err
		}
		n = int(binary.BigEndian.Uint16(h[2:]))
		head = append(head, h[2:]...)
	}
	key := make([]byte, 4)
	io.ReadFull(br, key)
	payload = make([]byte, n)
	_, err = io.ReadFull(br, payload)
	for i := range payload {
		payload[i] ^= key[i%4]
	}
	return head, payload, err
}
`
