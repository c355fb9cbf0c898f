//go:build go1.26

// The source of a cell comes with its tests, and is built by older releases, without the gate and the supervisor.

package cell

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client is one connection of a client's that never tries again.
type client struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
}

func (w *world) dial() *client {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	return &client{w.t, conn, bufio.NewReader(conn)}
}

// ask is a request, and what comes back of it beside the version's name.
type ask struct{ bytes, answer string }

// asks makes a request. more is what the answer has more of than its words.
func asks(method, uri string, more int, body string, fields ...string) ask {
	framing := ""
	switch {
	case body != "" && method == "PUT":
		framing = "Transfer-Encoding: chunked\r\n"
	case body != "":
		framing = fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	a := ask{fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%s%s\r\n", method, uri, strings.Join(fields, ""), framing), ""}
	if framing != "" && method == "PUT" {
		a.bytes += fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	} else {
		a.bytes += body
	}
	a.answer = fmt.Sprintf(" %s %s HTTP/1.1 %d%s", method, uri, len(body), strings.Repeat(".", more))
	return a
}

func (c *client) write(s string) error {
	_, err := io.WriteString(c.conn, s)
	return err
}

// read returns who has answered a.
func (c *client) read(a ask) (version string, err error) {
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	version, ok := strings.CutSuffix(string(body), a.answer)
	if resp.StatusCode != 200 || resp.Close || !ok {
		return "", fmt.Errorf("answered %s %.200q, close %v, to %.100q", resp.Status, body, resp.Close, a.bytes)
	}
	return version, nil
}

func (c *client) do(a ask) (version string, err error) {
	if err = c.write(a.bytes); err == nil {
		version, err = c.read(a)
	}
	return version, err
}

// must is do without an error.
func (c *client) must(a ask) (version string) {
	c.t.Helper()
	version, err := c.do(a)
	if err != nil {
		c.t.Fatal(err)
	}
	return version
}
