package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// serve returns a mux of its own users: Ada is 1, Grace is 2.
func serve(t *testing.T) (*http.ServeMux, *store) {
	t.Helper()
	s := newStore()
	s.add("Ada")
	s.add("Grace")
	mux := http.NewServeMux()
	for pattern, h := range resource(s) {
		mux.Handle(pattern, h)
	}
	return mux, s
}

func do(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

// logged returns what slog's default logger writes until the test ends.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewJSONHandler(&b, nil)))
	return &b
}

func TestRequests(t *testing.T) {
	tests := []struct {
		name         string
		method, path string
		body         string
		status       int
		answer       string // part of it
		log          string // the one record's message
	}{
		{"list", "GET", "/users", "", 200, `[{"id":1,"name":"Ada"},{"id":2,"name":"Grace"}]`, ""},
		{"get", "GET", "/users/2", "", 200, `{"id":2,"name":"Grace"}`, ""},
		{"get nobody", "GET", "/users/3", "", 404, `no such user`, ""},
		{"get no number", "GET", "/users/ada", "", 404, `no such user`, ""},
		{"get beyond int", "GET", "/users/99999999999999999999", "", 404, `no such user`, ""},
		{"create", "POST", "/users", `{"name":" Alan "}`, 201, `{"id":3,"name":"Alan"}`, "user created"},
		{"create, id ignored", "POST", "/users", `{"id":1,"name":"Alan"}`, 201, `{"id":3,"name":"Alan"}`, "user created"},
		{"create from nothing", "POST", "/users", ``, 400, `parse body`, ""},
		{"create from no JSON", "POST", "/users", `name=Alan`, 400, `parse body`, ""},
		{"create from two values", "POST", "/users", `{"name":"Alan"}{}`, 400, `parse body`, ""},
		{"create from null", "POST", "/users", `null`, 400, `name is missing`, ""},
		{"create nameless", "POST", "/users", `{"name":" \t"}`, 400, `name is missing`, ""},
		{"create from a number", "POST", "/users", `{"name":7}`, 400, `parse body`, ""},
		{"create too large", "POST", "/users", `{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413, `too large`, ""},
		{"put", "PUT", "/users/1", `{"id":1,"name":"Ada L."}`, 200, `{"id":1,"name":"Ada L."}`, "user renamed"},
		{"put nobody", "PUT", "/users/3", `{"name":"Alan"}`, 404, `no such user`, ""},
		{"put nameless", "PUT", "/users/1", `{}`, 400, `name is missing`, ""},
		{"delete", "DELETE", "/users/1", "", 204, "", "user removed"},
		{"delete nobody", "DELETE", "/users/0", "", 404, `no such user`, ""},
		{"another method", "PATCH", "/users/1", `{}`, 405, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := logged(t)
			mux, _ := serve(t)
			w := do(mux, tt.method, tt.path, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.answer) {
				t.Errorf("%s %s = %d %q, want %d and %q", tt.method, tt.path, w.Code, w.Body, tt.status, tt.answer)
			}
			if tt.answer != "" && w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type is %q", w.Header().Get("Content-Type"))
			}
			if got := strings.Count(log.String(), "\n"); (tt.log == "") != (got == 0) || got > 1 ||
				!strings.Contains(log.String(), tt.log) {
				t.Errorf("logged %q, want the record %q", log, tt.log)
			}
		})
	}
}

func TestCreatedUserIsAtItsLocation(t *testing.T) {
	mux, _ := serve(t)
	created := do(mux, "POST", "/users", `{"name":"Alan"}`)
	found := do(mux, "GET", created.Header().Get("Location"), "")
	if found.Code != http.StatusOK || found.Body.String() != created.Body.String() {
		t.Errorf("created %q, found %d %q", created.Body, found.Code, found.Body)
	}
}

func TestIDIsNotUsedAgain(t *testing.T) {
	mux, s := serve(t)
	do(mux, "DELETE", "/users/2", "")
	do(mux, "POST", "/users", `{"name":"Alan"}`)
	if got, want := s.all(), []user{{1, "Ada"}, {3, "Alan"}}; !slices.Equal(got, want) {
		t.Errorf("users are %v, want %v", got, want)
	}
}

func TestNobodyIsAnEmptyList(t *testing.T) {
	mux, _ := serve(t)
	do(mux, "DELETE", "/users/1", "")
	do(mux, "DELETE", "/users/2", "")
	if got := strings.TrimSpace(do(mux, "GET", "/users", "").Body.String()); got != "[]" {
		t.Errorf("GET /users = %q, want []", got)
	}
}

func TestConcurrentChanges(t *testing.T) {
	mux, s := serve(t)
	slots := make([]int, 50)
	var wg sync.WaitGroup
	for i := range slots {
		wg.Go(func() {
			w := do(mux, "POST", "/users", fmt.Sprintf(`{"name":"user %d"}`, i))
			var u user
			if err := json.Unmarshal(w.Body.Bytes(), &u); err != nil {
				t.Errorf("POST /users = %d: %v", w.Code, err)
				return
			}
			slots[i] = u.ID
			path := fmt.Sprintf("/users/%d", u.ID)
			do(mux, "GET", "/users", "")
			if w := do(mux, "PUT", path, `{"name":"renamed"}`); w.Code != http.StatusOK {
				t.Errorf("PUT %s = %d", path, w.Code)
			}
			if i%2 == 0 {
				if w := do(mux, "DELETE", path, ""); w.Code != http.StatusNoContent {
					t.Errorf("DELETE %s = %d", path, w.Code)
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(slots)
	if n := len(slices.Compact(slots)); n != 50 {
		t.Errorf("50 users were given %d ids", n)
	}
	if got, want := len(s.all()), 2+25; got != want {
		t.Errorf("%d users are left, want %d", got, want)
	}
}

func TestLife(t *testing.T) {
	known = newStore()
	if err := Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range Handlers() {
		mux.Handle(pattern, h)
	}
	if w := do(mux, "GET", "/users/1", ""); w.Code != http.StatusOK {
		t.Errorf("GET /users/1 after Start = %d", w.Code)
	}
	do(mux, "POST", "/users", `{"name":"Alan"}`)

	log := logged(t)
	if err := Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	var record struct {
		Msg   string
		Count int
	}
	if err := json.Unmarshal(log.Bytes(), &record); err != nil {
		t.Fatal(err)
	}
	if record.Msg != "users forgotten" || record.Count != 3 {
		t.Errorf("Stop logged %s", log)
	}
}
