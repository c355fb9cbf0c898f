// The plugin of handlers.JSON.
package main

import (
	"net/http"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

// Handler returns the pattern and the function that serves it.
func Handler() (string, http.HandlerFunc) { return "/json", handlers.JSON }

func main() {}
