package main

import (
	"net/http"

	"equal.example/handlers"
)

// version is replaced in the plugin's file to make another of it.
var version = "VERSION:................................"

func Handlers() map[string]http.HandlerFunc {
	handlers.Version = version
	return handlers.Set("a")
}

func main() {}
