package http1

import (
	"bufio"
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
)

// Request makes a request of its head, as http.ReadRequest does; of a body it
// knows nothing. Plain is the Scanner's verdict. The request's strings may share
// the head's memory.
func Request(ctx context.Context, head string, plain bool) (*http.Request, error) {
	return request(ctx, head, plain, false)
}

// Routed is Request for a head that net/http is to parse, too: it is good for finding
// the request's handler, and may not know that there is a body.
func (s *Scanner) Routed(ctx context.Context, head string) (*http.Request, error) {
	return request(ctx, head, s.Plain || s.Sized, s.Sized)
}

func request(ctx context.Context, head string, common, sized bool) (*http.Request, error) {
	if common {
		var r http.Request // WithContext copies it: only the copy is allocated
		if simple(&r, head, sized) {
			return r.WithContext(ctx), nil
		}
	}
	rd := readers.Get().(*reader)
	rd.src.Reset(head)
	rd.buf.Reset(rd.src)
	r, err := http.ReadRequest(rd.buf)
	rd.src.Reset("")
	readers.Put(rd)
	if err != nil {
		return nil, err
	}
	return r.WithContext(ctx), nil
}

var readers = sync.Pool{New: func() any {
	src := strings.NewReader("")
	return &reader{src, bufio.NewReader(src)}
}}

type reader struct {
	src *strings.Reader
	buf *bufio.Reader
}

// simple fills in r from a plain head, unless there is something in it that
// net/http looks at twice. With sized, one length of a body is not.
func simple(r *http.Request, head string, sized bool) bool {
	line, rest, _ := strings.Cut(head, "\r\n")
	method, line, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(line, " ")
	path, query, asks := strings.Cut(target, "?")
	for i := range len(path) {
		if !inPath[path[i]] {
			return false
		}
	}
	if asks && query == "" {
		return false
	}
	r.Method, r.RequestURI, r.Proto = method, target, proto
	r.ProtoMajor, r.ProtoMinor = 1, int(proto[len(proto)-1]-'0')
	r.URL = &url.URL{Path: path, RawQuery: query}
	r.Body = http.NoBody
	r.Close = r.ProtoMinor == 0

	n := strings.Count(rest, "\n") - 1
	values := make([]string, n)
	r.Header = make(http.Header, n)
	for range n {
		line, rest, _ = strings.Cut(rest, "\r\n")
		key, value, _ := strings.Cut(line, ":")
		key, value = textproto.CanonicalMIMEHeaderKey(key), strings.Trim(value, " \t")
		switch key {
		case "Host":
			r.Host = value
			continue
		case "Connection":
			switch {
			case r.Header[key] != nil:
				return false
			case value == "close":
				r.Close = true
			case value == "keep-alive":
				r.Close = false
			default:
				return false
			}
		case "Content-Length":
			if !sized || r.Header[key] != nil {
				return false
			}
		case "Pragma", "Trailer":
			return false
		}
		if old := r.Header[key]; old != nil {
			r.Header[key] = append(old, value)
			continue
		}
		values[0] = value
		r.Header[key] = values[:1:1]
		values = values[1:]
	}
	return true
}

// inPath are the bytes that a path has the same before and after net/url's
// decoding and encoding.
var inPath = class("/-._~$&+,;=:@")
