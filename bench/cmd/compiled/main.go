// Compiled serves the handlers with net/http, compiled in. It listens at the
// address that is its first argument; the others are handlers.Serve's.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

func main() {
	mux := http.NewServeMux()
	handlers.Register(mux)
	// The time limits are those of plugserverd.
	srv := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(handlers.Serve(srv, os.Args[2:]))
}
