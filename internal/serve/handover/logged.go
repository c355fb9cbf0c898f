package handover

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
)

// LogTo has s's lines of the access log go to the first of files, in the place of the
// one before; the second, if any, is where they are gathered. It reports false where
// there is no file: they wait for one. failed is told where lines begin to be lost.
// Before the first call, which comes before any connection, nothing is logged.
func (s *Server) LogTo(format string, files []*os.File, failed func(error)) bool {
	if s.Access == nil {
		var ring *os.File
		if len(files) > 1 {
			ring = files[1]
		}
		s.Access = access.New(access.Format(format), ring, failed)
	}
	if len(files) == 0 {
		return false
	}
	s.Access.Put(files[0])
	return true
}

// Finished completes e, of a request that has ended. Where it answers, nothing said is 200.
func Finished(e *access.Entry, w http.ResponseWriter, r *http.Request, answers bool) {
	e.Status, e.Bytes = Answered(w, r)
	if e.Status == 0 && answers {
		e.Status = http.StatusOK
	}
	if e.Asked.Method == http.MethodHead {
		e.Bytes = 0
	}
	e.Took = time.Since(e.Began)
}

// logged is h, whose answers, to requests that no handler has, are in the access log.
func (s *Server) logged(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := access.Entry{Began: Began(r), Client: r.RemoteAddr, Asked: access.AskedBy(r)}
		h.ServeHTTP(w, r)
		Finished(&e, w, r, true)
		s.Access.Add(&e)
	})
}

func (c *Conn) logged(h http.Handler) http.Handler {
	if c.isLogged() {
		return c.server.logged(h)
	}
	return h
}

// isLogged reports whether requests of c are in the access log: a probe's are not.
func (c *Conn) isLogged() bool {
	return c.server.Access != nil && (c.remote == nil || c.remote.Network() != "pipe")
}

// logRefused adds the line of a request that was refused before there was one to parse:
// its first line is told, as far as it has come.
func (c *Conn) logRefused(line string, status, size int) {
	if c.isLogged() {
		e := access.Entry{Began: time.Now(), Client: c.remoteText, Status: status, Bytes: int64(size)}
		if words := strings.Split(line, " "); len(words) == 3 && strings.HasPrefix(words[2], "HTTP/") {
			e.Asked.Method, e.Asked.Target, e.Asked.Proto = words[0], words[1], words[2]
		} else {
			e.Asked.Target = line
		}
		c.server.Access.Add(&e)
	}
}

// note notes the request at the front, which net/http may refuse by itself.
func (s *wholeConn) note() {
	if s.isLogged() {
		s.noted = firstLine(s.pending())
	}
}

// logAnswer adds the line of a request that net/http's server has refused by itself; b is
// what it answers.
func (s *wholeConn) logAnswer(b []byte) {
	_, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	s.logRefused(s.noted, statusOf(b), len(body))
	s.noted = ""
}

// mostLine bounds what is kept of a line, in bytes.
const mostLine = 8 << 10

func firstLine(head []byte) string {
	line, _, _ := bytes.Cut(head[:min(len(head), mostLine)], []byte{'\n'})
	return string(bytes.TrimSuffix(line, []byte{'\r'}))
}

// statusOf is the status of an answer that begins with b, 0 where it has none.
func statusOf(b []byte) (n int) {
	if len(b) < 12 || !bytes.HasPrefix(b, []byte("HTTP/1.")) {
		return 0
	}
	for _, d := range b[9:12] {
		if d < '0' || d > '9' {
			return 0
		}
		n = 10*n + int(d-'0')
	}
	return n
}

// ownAnswer is an answer over HTTP/2 that no handler of an operator's gives: net/http does
// not tell what it was.
type ownAnswer struct {
	http.ResponseWriter
	status  int
	written int64
}

// WriteHeader implements http.ResponseWriter.
func (a *ownAnswer) WriteHeader(code int) {
	if a.status == 0 {
		a.status = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *ownAnswer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.written += int64(n)
	return n, err
}
