// The plugin of handlers.WebSocket.
package main

import (
	"net/http"

	"github.com/andrestc/go-plugserver/bench/handlers"
)

// Handler returns the pattern and the function that serves it.
func Handler() (string, http.HandlerFunc) { return "/websocket", handlers.WebSocket }

func main() {}
