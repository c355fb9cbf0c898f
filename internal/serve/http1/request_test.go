package http1

import (
	"context"
	"net/http"
	"reflect"
	"testing"
)

var plainHeads = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a/b;c=d/@:&+,~$?q=1&r=%zz HTTP/1.1\r\nhost: x:80\r\nAccept: */*\r\naccept:  a \t\r\nUser-Agent: \r\n\r\n",
	"DELETE //a//../b HTTP/1.1\r\nHost: [::1]:80\r\nX-a-B: \xff\r\n\r\n",
	"GET /? HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /?? HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /a!b(c) HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /%41 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nTrailer: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
}

// same compares a plain head's request with net/http's.
func same(t *testing.T, head string) {
	t.Helper()
	want, err := Request(context.Background(), head, false)
	if err != nil {
		t.Errorf("%q is plain; net/http: %v", head, err)
		return
	}
	got, err := Request(context.Background(), head, true)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q\n is %+v, %v\nnot %+v", head, got, err, want)
	}
}

func TestRequestAsNetHTTP(t *testing.T) {
	fast := 0
	for _, head := range append(plainHeads, heads...) {
		var s Scanner
		if s.Scan([]byte(head)) == Whole && s.Plain {
			same(t, head)
			if simple(new(http.Request), head, false) {
				fast++
			}
		}
	}
	if fast < 8 {
		t.Errorf("%d heads of the tables are simple", fast)
	}
}

var sizedHeads = []string{
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-a: b\r\n\r\n",
	"PUT /a?b HTTP/1.1\r\nHost: x\r\ncontent-length: 05 \r\nConnection: close\r\n\r\n",
	"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nPragma: no-cache\r\nTrailer: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
}

// sameRouted compares a sized head's request with net/http's, but for the body.
func sameRouted(t *testing.T, s *Scanner, head string) {
	t.Helper()
	want, err := Request(context.Background(), head, false)
	if err != nil {
		t.Errorf("%q is sized; net/http: %v", head, err)
		return
	}
	got, err := s.Routed(context.Background(), head)
	if err == nil {
		want.Body, want.ContentLength = got.Body, got.ContentLength
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q\n is %+v, %v\nnot %+v", head, got, err, want)
	}
}

func TestRoutedAsNetHTTP(t *testing.T) {
	fast := 0
	for _, head := range append(append(sizedHeads, plainHeads...), heads...) {
		var s Scanner
		if s.Scan([]byte(head)) == Whole && s.Sized {
			sameRouted(t, &s, head)
			if simple(new(http.Request), head, true) {
				fast++
			}
		}
	}
	if fast < 4 {
		t.Errorf("%d heads of the tables are simple", fast)
	}
}

func FuzzRequestAsNetHTTP(f *testing.F) {
	for _, head := range append(plainHeads, sizedHeads...) {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, head string) {
		var s Scanner
		switch {
		case s.Scan([]byte(head)) != Whole:
		case s.Plain:
			same(t, head[:s.Len()])
		case s.Sized:
			sameRouted(t, &s, head[:s.Len()])
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	head := "GET /hello HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"
	for name, plain := range map[string]bool{"ours": true, "net-http": false} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := Request(context.Background(), head, plain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	head := []byte("GET /hello HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n")
	for range b.N {
		var s Scanner
		if s.Scan(head) != Whole || !s.Plain {
			b.Fatal("not plain")
		}
	}
}
