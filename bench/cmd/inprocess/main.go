// Inprocess opens plugins in the server's own process. It listens at its first
// argument; the others are the plugins.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"plugin"
	"time"
)

func main() {
	mux := http.NewServeMux()
	for _, file := range os.Args[2:] {
		if err := open(mux, file); err != nil {
			log.Fatal(err)
		}
	}
	srv := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(srv.ListenAndServe())
}

func open(mux *http.ServeMux, file string) error {
	p, err := plugin.Open(file)
	if err != nil {
		return err
	}
	symbol, err := p.Lookup("Handler")
	if err != nil {
		return err
	}
	switch handler := symbol.(type) {
	case func() (string, http.HandlerFunc):
		pattern, h := handler()
		mux.HandleFunc(pattern, h)
	case func() (string, func(http.ResponseWriter, *http.Request)):
		pattern, h := handler()
		mux.HandleFunc(pattern, h)
	default:
		return fmt.Errorf("%s: Handler is a %T", file, symbol)
	}
	return nil
}
