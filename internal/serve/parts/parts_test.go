package parts

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// A head and its fields arrive as they were told, those without a value, too.
func TestRequest(t *testing.T) {
	r := httptest.NewRequest("POST", "/a?b=c", strings.NewReader("body"))
	r.Host, r.RequestURI, r.ProtoMajor = "h.example", "/a?b=c", 2
	r.Header = http.Header{"A": {"1", "2"}, "B": {}, "C": {""}}
	r.Trailer = http.Header{"T": nil}
	h, err := DecodeRequest(string(AppendRequest(nil, r)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Request(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != r.Method || got.Host != r.Host || got.URL.String() != r.URL.String() || got.ContentLength != 4 || got.ProtoMajor != 2 ||
		!reflect.DeepEqual(got.Header, r.Header) || !reflect.DeepEqual(got.Trailer, r.Trailer) || !h.Open {
		t.Errorf("%+v", got)
	}
	for size := range AppendRequest(nil, r) {
		if _, err := DecodeRequest(string(AppendRequest(nil, r)[:size])); err == nil {
			t.Errorf("%d bytes of a head decode", size)
		}
	}
}

// One of HTTP/1.1 is one there, too.
func TestRequestOfHTTP1(t *testing.T) {
	h, err := DecodeRequest(string(AppendRequest(nil, httptest.NewRequest("GET", "/a", nil))))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := h.Request(context.Background()); err != nil || r.Proto != "HTTP/1.1" || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || h.Open {
		t.Errorf("%+v, %v", r, err)
	}
}

// What another process says does not panic, nor have more kept than it has sent.
func FuzzParts(f *testing.F) {
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("A", "1")
	f.Add(AppendRequest(nil, r))
	f.Add(Append(AppendFields(nil, Head, 200, r.Header), Data, []byte("text")))
	f.Add(AppendWord(nil, WordGrant, 1<<30))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := DecodeRequest(string(b)); err == nil {
			h.Request(context.Background())
		}
		if _, n, err := DecodeWord(b); err == nil && n < 0 {
			t.Errorf("a word of %d", n)
		}
		for rest := b; len(rest) > 0; {
			kind, text, more, err := Next(rest)
			if err != nil {
				break
			}
			if again := Append(nil, kind, text); len(again) > len(rest)-len(more) {
				t.Errorf("a part of %d bytes was one of %d", len(again), len(rest)-len(more))
			}
			rd, h := NewReader(text), make(http.Header)
			rd.Number()
			if rd.Header(h); rd.OK() && FieldsSize(h) > 2*len(text)+1 {
				t.Errorf("fields of %d bytes are %d", len(text), FieldsSize(h))
			}
			rest = more
		}
	})
}
