// Yaegi interprets the handlers. It listens at the address that is its
// argument.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/andrestc/go-plugserver/bench/handlers"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

func main() {
	i := interp.New(interp.Options{})
	if err := i.Use(stdlib.Symbols); err != nil {
		log.Fatal(err)
	}
	source, err := handlers.Source.ReadFile("handlers.go")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := i.Eval(string(source)); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, name := range map[string]string{"/hello": "Hello", "/bye": "Bye", "/json": "JSON", "/upload": "Upload", "/stream": "Stream"} {
		mux.HandleFunc(path, eval[func(http.ResponseWriter, *http.Request)](i, "handlers."+name))
	}
	for n := range handlers.Mixed {
		mux.Handle(handlers.MixedPath(n), eval[http.HandlerFunc](i, fmt.Sprintf("handlers.MixedHandler(%d)", n)))
	}
	srv := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(srv.ListenAndServe())
}

func eval[T any](i *interp.Interpreter, what string) T {
	v, err := i.Eval(what)
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
	f, ok := v.Interface().(T)
	if !ok {
		log.Fatalf("%s is a %v", what, v.Type())
	}
	return f
}
