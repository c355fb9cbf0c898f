// Wrapped is a handler with middleware around all of its patterns: request IDs, CORS, compression, and for one of them a
// token. The middleware is a library beside it, which other handlers can import, too.
package main

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/handlers/wrapped/wrap"
)

// token is what Auth asks for: a credential, LoadCredential=token:/PATH in plugserverd.conf(5). Without one nobody is known.
var token string

// Handlers returns what serves each pattern.
func Handlers() map[string]http.Handler {
	text, err := os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), "token"))
	if err == nil {
		token = strings.TrimSpace(string(text))
	}
	return wrap.All(map[string]http.Handler{
		"/wrapped":         http.HandlerFunc(greet),
		"/wrapped/private": wrap.Auth(known)(http.HandlerFunc(private)),
	}, wrap.RequestID, wrap.CORS([]string{"https://example.com"}, []string{"GET", "POST"}), wrap.Gzip)
}

func known(shown string) (user string, ok bool) {
	return "the owner", token != "" && subtle.ConstantTimeCompare([]byte(shown), []byte(token)) == 1
}

func greet(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello, this is request %s\n", wrap.ID(r))
}

func private(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "Hello %s, this is request %s\n", wrap.User(r), wrap.ID(r))
}

func main() {}
