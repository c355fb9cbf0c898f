// Command reference serves every handler from one net/http server, until its
// standard input ends.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	"equal.example/handlers"
)

// allow has a server speak HTTP/2 where it is to, and can.
var allow = func(srv *http.Server) {
	srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
}

func main() {
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0)}
	flag.DurationVar(&srv.ReadHeaderTimeout, "header-timeout", 0, "")
	flag.DurationVar(&srv.IdleTimeout, "idle-timeout", 0, "")
	flag.IntVar(&srv.MaxHeaderBytes, "max-header-bytes", 0, "")
	cert, key := flag.String("cert", "", "serve over TLS"), flag.String("key", "", "")
	flag.Parse()
	allow(srv)
	mux := http.NewServeMux()
	for _, name := range []string{"a", "b", "c"} {
		for pattern, h := range handlers.Set(name) {
			mux.Handle(pattern, h)
		}
	}
	srv.Handler = mux
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if *cert != "" {
		log.Fatal(srv.ServeTLS(l, *cert, *key))
	}
	log.Fatal(srv.Serve(l))
}
