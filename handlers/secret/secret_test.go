package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func ask(h http.Handler, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/secret", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func settings(t *testing.T, token string) {
	t.Helper()
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "token"), []byte(token), 0o400); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	t.Setenv("STATE_DIRECTORY", t.TempDir())
}

// Whoever shows the token is counted, by one version and the next.
func TestSecret(t *testing.T) {
	settings(t, "s3cret\n")
	_, h := Handler()
	for _, wrong := range []string{"", "s3cret", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret"} {
		if w := ask(h, wrong); w.Code != 401 || w.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: %d", wrong, w.Code)
		}
	}
	if w := ask(h, "Bearer s3cret"); w.Body.String() != "visit 1\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	_, next := Handler()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { ask(h, "Bearer s3cret") })
		all.Go(func() { ask(next, "Bearer s3cret") })
	}
	all.Wait()
	if w := ask(next, "Bearer s3cret"); w.Body.String() != "visit 102\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Nobody is let in without a token to show.
func TestNotSet(t *testing.T) {
	settings(t, " \n")
	t.Run("empty", notSet)
	settings(t, "x")
	t.Setenv("STATE_DIRECTORY", "")
	t.Run("no state", notSet)
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	t.Run("no credential", notSet)
}

func notSet(t *testing.T) {
	_, h := Handler()
	if w := ask(h, "Bearer "); w.Code != 503 || !strings.Contains(w.Body.String(), "LoadCredential=token") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A file that is no number is not written over.
func TestDamaged(t *testing.T) {
	settings(t, "x")
	path := filepath.Join(os.Getenv("STATE_DIRECTORY"), "visits")
	if err := os.WriteFile(path, []byte("many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, h := Handler()
	w := ask(h, "Bearer x")
	if text, err := os.ReadFile(path); w.Code != 500 || fmt.Sprintf("%s %v", text, err) != "many\n <nil>" {
		t.Errorf("%d, then the file is %q, %v", w.Code, text, err)
	}
}
