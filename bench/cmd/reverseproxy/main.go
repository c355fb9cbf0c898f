// Reverseproxy is httputil.ReverseProxy. It listens at its first argument, and
// proxies to its second; the others are handlers.Serve's.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

func main() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64 // 2 by default, which opens most anew
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: os.Args[2]})
	}}
	srv := &http.Server{Addr: os.Args[1], Handler: proxy, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(handlers.Serve(srv, os.Args[3:]))
}
