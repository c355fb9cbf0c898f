// Toy serves handlers as the first idea of plugserver had it: one process polls a folder for
// files, and opens each that it has not seen as a Go plugin. What was opened stays: Go has no way to close a plugin. It
// listens at its first argument; the second is the folder.
package main

import (
	"log"
	"net/http"
	"os"
	"path/filepath"
	"plugin"
	"strings"
	"time"
)

const interval = time.Second // at which it looks

func main() {
	mux, seen := http.NewServeMux(), make(map[string]bool)
	look(os.Args[2], mux, seen)
	go func() {
		for range time.Tick(interval) {
			look(os.Args[2], mux, seen)
		}
	}()
	srv := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(srv.ListenAndServe())
}

// look opens what is new in the folder.
func look(dir string, mux *http.ServeMux, seen map[string]bool) {
	files, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		name := f.Name()
		if seen[name] || !strings.HasSuffix(name, ".so") {
			continue
		}
		seen[name] = true
		if err := add(filepath.Join(dir, name), mux); err != nil {
			log.Print(err)
		}
	}
}

// add serves what a plugin has.
func add(path string, mux *http.ServeMux) error {
	p, err := plugin.Open(path)
	if err != nil {
		return err
	}
	symbol, err := p.Lookup("Handler")
	if err != nil {
		return err
	}
	mux.HandleFunc(symbol.(func() (string, http.HandlerFunc))())
	return nil
}
