package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHandler(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc(Handler())

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/bye", nil))
	if got, want := w.Body.String(), "Bye World!"; w.Code != http.StatusOK || got != want {
		t.Errorf("GET /bye = %d %q, want 200 %q", w.Code, got, want)
	}
}
