// Secret answers whoever shows its token, and counts how often in a file that outlives it. The token is a credential, the
// file is in its state folder; plugserverd.conf(5) says where both come from:
//
//	[Handler secret]
//	LoadCredential=token:/etc/plugserver/secret.token
//	StateDirectory=secret
package main

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Handler returns the pattern and what serves it. What is not set is told to clients, rather than that the file is refused:
// the other samples need no settings.
func Handler() (string, http.Handler) {
	token, err := credential("token")
	state := os.Getenv("STATE_DIRECTORY")
	if err != nil || state == "" {
		return "GET /secret", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "set LoadCredential=token:/PATH and StateDirectory=secret below [Handler secret] in plugserverd.conf, and reload", http.StatusServiceUnavailable)
		})
	}
	return "GET /secret", guard(token, counting(filepath.Join(state, "visits")))
}

// credential reads a credential of this handler's. A file that has changed is a new process, so once is enough.
func credential(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name))
	secret := strings.TrimSpace(string(text))
	if err == nil && secret == "" {
		err = errors.New("the credential is empty") // which everybody could show
	}
	return secret, err
}

// guard lets those through who show the token: Authorization: Bearer TOKEN.
func guard(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(shown), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "show the token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func counting(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := count(path)
		if err != nil {
			http.Error(w, "the visit was not counted", http.StatusInternalServerError)
			fmt.Println("count a visit:", err) // reaches the log under this handler's name
			return
		}
		fmt.Fprintf(w, "visit %d\n", n)
	})
}

// count adds 1 to the number in the file, and returns it. While a version takes over from another, processes of both
// count: the lock is what they share.
func count(path string) (n int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close() // and with it the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 20))
	if err != nil {
		return 0, err
	}
	if len(text) > 0 {
		if n, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return 0, err
		}
	}
	n++
	_, err = f.WriteAt([]byte(strconv.Itoa(n)+"\n"), 0) // never shorter than before
	return n, err
}

func main() {}
