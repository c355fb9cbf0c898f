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
			if simple(new(http.Request), head) {
				fast++
			}
		}
	}
	if fast < 8 {
		t.Errorf("%d heads of the tables are simple", fast)
	}
}

func FuzzRequestAsNetHTTP(f *testing.F) {
	for _, head := range plainHeads {
		f.Add(head)
	}
	f.Fuzz(func(t *testing.T, head string) {
		var s Scanner
		if s.Scan([]byte(head)) == Whole && s.Plain {
			same(t, head[:s.Len()])
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
