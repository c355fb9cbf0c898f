//go:build go1.24

package main

import (
	"flag"
	"net/http"
)

func init() {
	allowed := flag.Bool("http2", false, "")
	allow = func(srv *http.Server) {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(*allowed)
		srv.Protocols.SetUnencryptedHTTP2(*allowed)
	}
}
