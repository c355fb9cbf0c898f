// Bye answers every request for /bye with the same line of text.
package main

import (
	"fmt"
	"net/http"
)

// Handler returns the pattern and the function that serves it.
func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/bye", bye
}

func bye(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, "Bye World!")
}

func main() {} // never run; go vet ./... and go build ./... ask for it
