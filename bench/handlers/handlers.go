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

// Register puts all handlers into the mux.
func Register(mux *http.ServeMux) {
	mux.HandleFunc("/hello", Hello)
	mux.HandleFunc("/bye", Bye)
	mux.HandleFunc("/json", JSON)
	mux.HandleFunc("/upload", Upload)
	for n := range Mixed {
		mux.HandleFunc(MixedPath(n), mixed(n))
	}
}

func Hello(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Hello World!") }

func Bye(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Bye World!") }

// JSONBody is 10 KiB of JSON.
var JSONBody = "[" + strings.Repeat(`{"id":1,"name":"Ada","since":"1815-12-10T00:00:00Z"},`, 192) + `{"id":2,"name":"Grace","since":"1906-12-09T00:00:00Z","is":"the last"}` + "]"

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

// Mixed is the number of handlers at MixedPath that answer MixedBody.
const Mixed = 10

func MixedPath(n int) string { return "/m" + strconv.Itoa(n) }
func MixedBody(n int) string { return "Mixed " + strconv.Itoa(n) }

func mixed(n int) http.HandlerFunc {
	body := MixedBody(n)
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }
}
