// Package handlers is what both servers serve: plugserver as plugins, the
// reference compiled in. Every handler tells all that it is told.
package handlers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Version is the plugin's; no answer depends on it.
var Version string

// end is the last line of most answers: a client waits for it.
const end = "end.\n"

// event appends a line to the file of the case that sent the request; it is
// for what no answer can tell.
func event(r *http.Request, format string, args ...any) {
	id := r.Header.Get("X-Case")
	if id == "" || strings.ContainsAny(id, "/.") {
		return
	}
	name := filepath.Join(os.Getenv("EQUAL_EVENTS"), id)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	io.WriteString(f, fmt.Sprintf(format, args...)+"\n")
}

// signalled reports whether the client has sent the signal of the name.
func signalled(r *http.Request, name string) bool {
	_, err := os.Stat(filepath.Join(os.Getenv("EQUAL_EVENTS"), r.Header.Get("X-Case")+"-"+name))
	return err == nil
}

// head reports the head of the request.
func head(b *bytes.Buffer, r *http.Request) {
	fmt.Fprintf(b, "method %q target %q proto %q %d.%d\n", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor)
	fmt.Fprintf(b, "url %q scheme %q opaque %q host %q path %q raw %q query %q fragment %q\n",
		r.URL.String(), r.URL.Scheme, r.URL.Opaque, r.URL.Host, r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.Fragment)
	fmt.Fprintf(b, "host %q pattern %q id %q rest %q\n", r.Host, r.Pattern, r.PathValue("id"), r.PathValue("rest"))
	header(b, "header", r.Header)
	fmt.Fprintf(b, "length %d encoding %q close %v nobody %v\n", r.ContentLength, r.TransferEncoding, r.Close, r.Body == http.NoBody)
	header(b, "trailer", r.Trailer)
	_, server := r.Context().Value(http.ServerContextKey).(*http.Server)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	fmt.Fprintf(b, "remote %s local %T %v tls %v server %v cancel %v\n",
		r.RemoteAddr, local, local, r.TLS != nil, server, r.Cancel != nil)
	_, deadline := r.Context().Deadline()
	fmt.Fprintf(b, "context %v deadline %v\n", r.Context().Err(), deadline)
}

func header(b *bytes.Buffer, what string, h http.Header) {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		text := fmt.Sprintf("%q", h[name])
		if len(text) > 300 {
			text = fmt.Sprintf("%d bytes, %x", len(text), sha256.Sum256([]byte(text)))
		}
		fmt.Fprintf(b, "%s %q: %s\n", what, name, text)
	}
	if h == nil {
		fmt.Fprintf(b, "%s nil\n", what)
	}
}

// body reads at most n bytes of the body, all of it where n < 0, and reports
// them.
func body(b *bytes.Buffer, r *http.Request, n int64) {
	var src io.Reader = r.Body
	if n >= 0 {
		src = io.LimitReader(r.Body, n)
	}
	got, err := io.ReadAll(src)
	if len(got) <= 200 {
		fmt.Fprintf(b, "body %d %q error %v %T\n", len(got), got, err, err)
	} else {
		fmt.Fprintf(b, "body %d %x error %v %T\n", len(got), sha256.Sum256(got), err, err)
	}
	if n < 0 {
		header(b, "trailer", r.Trailer)
		m, err := r.Body.Read(make([]byte, 8))
		fmt.Fprintf(b, "after the end %d %v, close %v\n", m, err, r.Body.Close())
	}
}

// echo reports everything.
func echo(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	head(&b, r)
	body(&b, r, -1)
	fmt.Fprintf(&b, "context %v\n", r.Context().Err())
	b.WriteString(end)
	w.Write(b.Bytes())
	event(r, "%s answered", r.URL.Path)
}

// headOnly reports the head and leaves the body.
func headOnly(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	head(&b, r)
	b.WriteString(end)
	w.Write(b.Bytes())
}

// quietly answers nothing at all.
func quietly(w http.ResponseWriter, r *http.Request) {}

// number is the value of a parameter.
func number(r *http.Request, name string, def int) int {
	n := def
	fmt.Sscan(r.URL.Query().Get(name), &n)
	return n
}

func why(ctx context.Context) string {
	return fmt.Sprintf("%v, cause %v", ctx.Err(), context.Cause(ctx))
}
