package http1

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Where an answer ends does not depend on how it comes in pieces, nothing behind it is its
// own, and what clients could read in two ways is none.
func TestAnswer(t *testing.T) {
	const next = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, tt := range []struct {
		method, answer string
		want           string // whole, open, tunnel, or odd from where a | stands
	}{
		{"GET", ok + "Content-Length: 5\r\n\r\nhello", "whole"},
		{"GET", ok + "content-length:5 \r\nX: y\r\n\r\nhello", "whole"},
		{"GET", ok + "Content-Length: 0\r\n\r\n", "whole"},
		{"GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "whole"},
		{"GET", ok + "Transfer-Encoding: Chunked\r\nTrailer: A\r\n\r\nA\r\n0123456789\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n", "whole"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", "whole"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "whole"},
		{"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx", "whole"},
		{"GET", "HTTP/1.0 299\r\nContent-Length: 1\r\n\r\nx", "whole"},
		{"HEAD", ok + "Content-Length: 5\r\n\r\n", "whole"},
		{"HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", "whole"},
		{"GET", ok + strings.Repeat("X: "+strings.Repeat("y", 500)+"\r\n", 9) + "Content-Length: 1\r\n\r\nx", "whole"},
		{"GET", ok + "\r\n", "open"},
		{"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "last"}, // nobody has asked
		{"UPGRADE", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "tunnel"},
		{"UPGRADE", ok + "Content-Length: 2\r\n\r\nno", "whole"},
		{"CONNECT", ok + "\r\n", "tunnel"},
		{"CONNECT", ok + "Content-Length: 1\r\n\r\nx", "whole"},
		{"CONNECT", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "whole"},
		// What follows could be taken for the answer to another request.
		{"GET", "HTTP/1.1 200 OK|\nContent-Length: 5\n\n", "odd"},
		{"GET", ok + "Content-Length: 5|\nX: y\r\n\r\n", "odd"},
		{"GET", ok + "X: y\r|X: z\r\n\r\n", "odd"},
		{"GET", ok + "Content-Length: 5\r\nContent-Length: 6\r|\n\r\n", "odd"},
		{"GET", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r|\n\r\n", "odd"},
		{"GET", ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r|\n\r\n", "odd"},
		{"GET", ok + "Transfer-Encoding: gzip, chunked\r|\n\r\n", "odd"},
		{"GET", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r|\n\r\n", "odd"},
		{"GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r|\n\r\n", "odd"},
		{"GET", ok + "Content-Length: +5\r|\n\r\n", "odd"},
		{"GET", ok + "Content-Length: " + strings.Repeat("0", 200) + "\r|\n\r\n", "odd"},
		{"GET", ok + "Content-Length : 5\r|\n\r\n", "odd"},
		{"GET", ok + " Content-Length: 5\r|\n\r\n", "odd"},
		{"GET", ok + "X: y\r\n Content-Length: 5\r|\n\r\n", "odd"},
		{"GET", ok + "X\r|\n\r\n", "odd"},
		{"GET", ok + "Transfer-Encoding: chunked\r\n\r\n-5\r|\nhello\r\n", "odd"},
		{"GET", ok + "Transfer-Encoding: chunked\r\n\r\n5;a\r|\nhello\r\n", "odd"},
		{"GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhellox\r|\n", "odd"},
		{"GET", ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0", 200) + "\r|\n\r\n", "odd"},
		{"GET", "HTTP/2.0 200 OK\r|\n\r\n", "odd"},
		{"GET", "HTTP/1.1 20 OK\r|\n\r\n", "odd"},
		{"GET", "HTTP/1.1 099 OK\r|\n\r\n", "odd"},
		{"GET", "hello\r|\n\r\n", "odd"},
	} {
		r := httptest.NewRequest(tt.method, "/", nil)
		if tt.method == "UPGRADE" {
			r.Method, r.Header = "GET", http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"x"}}
		}
		before, after, odd := strings.Cut(tt.answer, "|")
		all, want := before+after+next, len(before)
		if tt.want == "open" || tt.want == "tunnel" {
			want = len(all)
		}
		for _, piece := range []int{len(all), 1, 7} {
			a, n := AnswerTo(r), 0
			for rest := all; rest != ""; {
				p := rest[:min(piece, len(rest))]
				k := a.Next([]byte(p))
				n, rest = n+k, rest[k:]
				if k < len(p) {
					break
				}
			}
			got := fmt.Sprint(a.Whole(), a.Tunnel(), a.Begun())
			if n != want || got != fmt.Sprint(tt.want == "whole", tt.want == "tunnel", true) || odd != (tt.want == "odd") {
				t.Errorf("%s %q in pieces of %d: %d bytes of %d, whole, tunnel, begun: %s", tt.method, tt.answer, piece, n, want, got)
			}
		}
		for n := range len(before) {
			if a := AnswerTo(r); a.Next([]byte(before[:n])) != n || a.Whole() {
				t.Errorf("%q is whole", before[:n])
			}
		}
	}
}

// A client of HTTP/1.0 that asks for both has its connection kept, as by net/http.
func TestKeepsAlive(t *testing.T) {
	for _, tt := range []struct {
		version, connection string
		want                bool
	}{
		{"HTTP/1.0", "keep-alive", true},
		{"HTTP/1.0", "close, Keep-Alive", true},
		{"HTTP/1.0", "other keep-alive", true},
		{"HTTP/1.0", "close\r\nConnection: keep-alive", false},
		{"HTTP/1.0", "close", false},
		{"HTTP/1.0", "", false},
		{"HTTP/1.1", "keep-alive, close", false},
	} {
		r, err := Request(context.Background(), "GET / "+tt.version+"\r\nHost: e\r\nConnection: "+tt.connection+"\r\n\r\n", true)
		if err != nil || KeepsAlive(r) != tt.want {
			t.Errorf("%s, %q: %v, want %v; %v", tt.version, tt.connection, KeepsAlive(r), tt.want, err)
		}
	}
}
