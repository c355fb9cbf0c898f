// Package call carries an HTTP request to a handler, and its answer back, as
// values: what the peers need that cannot hand a connection on.
package call

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Request is an HTTP request without its headers: the handlers read none.
type Request struct {
	Method, Path string
	Body         []byte
}

// Response is its answer.
type Response struct {
	Status int
	Type   string // Content-Type
	Body   []byte
}

// Read takes the request out of net/http.
func Read(r *http.Request) (Request, error) {
	q := Request{Method: r.Method, Path: r.URL.Path}
	if r.ContentLength == 0 {
		return q, nil
	}
	if r.ContentLength > 0 {
		q.Body = make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, q.Body)
		return q, err
	}
	var err error
	q.Body, err = io.ReadAll(r.Body)
	return q, err
}

// Write gives the answer to net/http.
func (p Response) Write(w http.ResponseWriter) {
	h := w.Header()
	if p.Type != "" {
		h.Set("Content-Type", p.Type)
	}
	h.Set("Content-Length", strconv.Itoa(len(p.Body)))
	w.WriteHeader(p.Status)
	w.Write(p.Body)
}

// Front answers requests by what carry brings back.
func Front(carry func(Request) (Response, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := Read(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p, err := carry(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		p.Write(w)
	}
}

// Serve asks the handler.
func Serve(h http.Handler, q Request) Response {
	r, err := http.NewRequest(q.Method, q.Path, bytes.NewReader(q.Body))
	if err != nil {
		return Response{Status: http.StatusBadRequest, Body: []byte(err.Error())}
	}
	w := recorder{header: make(http.Header)}
	h.ServeHTTP(&w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return Response{w.status, w.header.Get("Content-Type"), w.body.Bytes()}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Marshal makes the request bytes: two lines, and the body.
func (q Request) Marshal() []byte {
	return append(fmt.Appendf(make([]byte, 0, 64+len(q.Body)), "%s\n%s\n", q.Method, q.Path), q.Body...)
}

// UnmarshalRequest is Marshal's inverse; the body is a part of b.
func UnmarshalRequest(b []byte) (q Request, err error) {
	method, path, body, err := lines(b)
	return Request{method, path, body}, err
}

// Marshal makes the answer bytes: two lines, and the body.
func (p Response) Marshal() []byte {
	return append(fmt.Appendf(make([]byte, 0, 64+len(p.Body)), "%d\n%s\n", p.Status, p.Type), p.Body...)
}

// UnmarshalResponse is Marshal's inverse; the body is a part of b.
func UnmarshalResponse(b []byte) (p Response, err error) {
	status, kind, body, err := lines(b)
	if err != nil {
		return p, err
	}
	n, err := strconv.Atoi(status)
	return Response{n, kind, body}, err
}

func lines(b []byte) (first, second string, rest []byte, err error) {
	a, b, ok1 := bytes.Cut(b, []byte("\n"))
	s, b, ok2 := bytes.Cut(b, []byte("\n"))
	if !ok1 || !ok2 {
		return "", "", nil, fmt.Errorf("not two lines: %.40q", b)
	}
	return string(a), string(s), b, nil
}
