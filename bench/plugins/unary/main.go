// The plugin of handlers.Unary.
package main

import (
	"net/http"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

// Handler returns the pattern and the function that serves it.
func Handler() (string, http.HandlerFunc) { return "/unary", handlers.Unary }

func main() {}
