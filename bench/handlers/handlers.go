// Package handlers holds what every peer serves. Hello and Bye are the samples'
// of plugserver; the others are the plugins of this module, too.
package handlers

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

func Hello(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Hello World!") }

func Bye(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Bye World!") }

// JSONBody is 10 KiB of JSON.
var JSONBody = "[" + strings.Repeat(`{"id":1,"name":"Ada","since":"1815-12-10T00:00:00Z"},`, 192) + `{"id":2,"name":"Grace","since":"1906-12-09T00:00:00Z","is":"l"}` + "]"

func JSON(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, JSONBody)
}

// Upload reads the whole body and answers its length.
func Upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	io.WriteString(w, strconv.FormatInt(n, 10))
}

// Unary answers a gRPC call by its own message. It is as little as a handler can do for
// that: without a library, which would be what is measured.
func Unary(w http.ResponseWriter, r *http.Request) {
	message, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Trailer", "Grpc-Status")
	w.Write(message)
	h.Set("Grpc-Status", "0")
}

// Stream sends Chunks times Chunk, each at once.
func Stream(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	for n := 0; n < Chunks; n++ {
		io.WriteString(w, Chunk)
		if err := rc.Flush(); err != nil {
			return
		}
	}
}

const Chunks = 50

var Chunk = strings.Repeat("data: x\n", 32)

func MixedPath(n int) string { return "/m" + strconv.Itoa(n) }
func MixedBody(n int) string { return "Mixed " + strconv.Itoa(n) }

// MixedHandler is the handler of MixedPath.
func MixedHandler(n int) http.HandlerFunc {
	body := MixedBody(n)
	return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) }
}
