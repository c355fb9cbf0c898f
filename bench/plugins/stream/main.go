// The plugin of handlers.Stream.
package main

import (
	"net/http"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

// Handler returns the pattern and the function that serves it.
func Handler() (string, http.HandlerFunc) { return "/stream", handlers.Stream }

func main() {}
