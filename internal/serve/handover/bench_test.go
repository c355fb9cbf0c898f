package handover

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
)

// ask sends n requests over each of 32 connections, one after another.
func ask(b *testing.B, address, request string, size int) {
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, size)
		req := []byte(request)
		for pb.Next() {
			if _, err := c.Write(req); err != nil {
				b.Error(err)
				return
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

const helloSize = 129

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "Hello World!") })

const helloRequest = "GET /hello HTTP/1.1\r\nHost: localhost:8080\r\n\r\n"

func BenchmarkNetHTTP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/hello", hello)
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	defer srv.Close()
	b.ReportAllocs()
	ask(b, l.Addr().String(), helloRequest, helloSize)
}

func BenchmarkPlain(b *testing.B) {
	mux := http.NewServeMux()
	mux.Handle("/hello", hello)
	mux.Handle("/", Elsewhere)
	s := NewServer(context.Background(), nil, Limits{}, log.Default())
	s.Mux = func() Mux { return mux }
	go s.Run()
	address, stop := accept(b, s)
	defer func() {
		stop()
		for _, c := range s.owned() {
			c.close()
		}
	}()
	b.ReportAllocs()
	ask(b, address, helloRequest, helloSize)
}
