package parts

import (
	"context"
	"encoding/binary"
	"net/http"
	"net/url"
	"reflect"
)

const (
	flagBody = 1 << iota // a body follows, or its end
	flagLazy             // the client waits until the handler reads it (100-continue)
	flagOne              // it came over HTTP/1.1
)

// AppendRequest encodes the head of r, a request that came over HTTP/2, or, with no body, over HTTP/1.1.
func AppendRequest(b []byte, r *http.Request) []byte {
	var flags byte
	open, lazy := BodyOf(r)
	if open {
		flags |= flagBody
	}
	if lazy {
		flags |= flagLazy
	}
	if r.ProtoMajor == 1 {
		flags |= flagOne
	}
	b = append(b, flags)
	for _, s := range [...]string{r.Method, r.RequestURI, r.Host} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(r.ContentLength+1))
	b = appendHeader(b, r.Header)
	b = binary.AppendUvarint(b, uint64(len(r.Trailer)))
	for key := range r.Trailer {
		b = appendText(b, key)
	}
	return b
}

// BodyOf reports whether a body comes with r, or the end of an empty one, and whether
// the client waits for a word to send it, which net/http says also where the body has
// ended with the head. Its server keeps both in its body (TestEqualH2).
func BodyOf(r *http.Request) (open, lazy bool) {
	open = r.ContentLength != 0
	v := reflect.ValueOf(r.Body)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return open, false
	}
	v = v.Elem()
	if pipe := v.FieldByName("pipe"); pipe.Kind() == reflect.Pointer {
		open = !pipe.IsNil()
	}
	if needs := v.FieldByName("needsContinue"); needs.Kind() == reflect.Bool {
		lazy = needs.Bool()
	}
	return open || lazy, lazy
}

// Request is a request's head as it was told.
type Request struct {
	Open, Lazy        bool // as BodyOf
	one               bool // of HTTP/1.1
	method, uri, host string
	length            int64
	header, trailer   http.Header
}

// DecodeRequest decodes it.
func DecodeRequest(s string) (h Request, err error) {
	if s == "" {
		return h, ErrMalformed
	}
	h.Open, h.Lazy, h.one = s[0]&flagBody != 0, s[0]&flagLazy != 0, s[0]&flagOne != 0
	rd := Reader{s[1:], true}
	h.method, h.uri, h.host = rd.text(), rd.text(), rd.text()
	h.length = int64(rd.Number()) - 1
	h.header = make(http.Header)
	rd.Header(h.header)
	if n := rd.count(); n > 0 {
		h.trailer = make(http.Header, n)
		for ; n > 0; n-- {
			h.trailer[rd.text()] = nil
		}
	}
	if !rd.ok || rd.s != "" {
		return h, ErrMalformed
	}
	return h, nil
}

// Request returns the request as net/http's server would have made it.
func (h *Request) Request(ctx context.Context) (*http.Request, error) {
	r := http.Request{
		Method: h.method, Header: h.header, Trailer: h.trailer, RequestURI: h.uri, Host: h.host,
		Proto: "HTTP/2.0", ProtoMajor: 2, ContentLength: h.length,
	}
	if h.one {
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	}
	if _, extended := h.header[":protocol"]; h.method == http.MethodConnect && !extended {
		r.URL = &url.URL{Host: h.host}
	} else {
		u, err := url.ParseRequestURI(h.uri)
		if err != nil {
			return nil, ErrMalformed
		}
		r.URL = u
	}
	return r.WithContext(ctx), nil
}
