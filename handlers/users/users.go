// Users is a small JSON resource. Every user is in memory only, and every
// change is made under one lock and logged: a new version of this handler
// begins with the seed again.
//
//	GET    /users       all users, by id
//	POST   /users       a new user: {"name": "Ada"}
//	GET    /users/{id}  one user
//	PUT    /users/{id}  another name for the user
//	DELETE /users/{id}  forgets the user
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// maxBody is the most that a request may send, in bytes.
const maxBody = 4 << 10

// known holds the users that Handlers serves.
var known = newStore()

// Start runs once, before Handlers.
func Start(context.Context) error {
	for _, name := range []string{"Ada", "Grace"} {
		known.add(name)
	}
	return nil
}

// Stop runs once, after the last request.
func Stop(ctx context.Context) error {
	slog.InfoContext(ctx, "users forgotten", "count", len(known.all()))
	return nil
}

// Handlers returns what serves each pattern.
func Handlers() map[string]http.Handler { return resource(known) }

func resource(s *store) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /users":         list(s),
		"POST /users":        create(s),
		"GET /users/{id}":    get(s),
		"PUT /users/{id}":    rename(s),
		"DELETE /users/{id}": remove(s),
	}
}

func list(s *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, s.all())
	}
}

func create(s *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, err := readName(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		u := s.add(name)
		slog.InfoContext(r.Context(), "user created", "id", u.ID)
		w.Header().Set("Location", fmt.Sprintf("/users/%d", u.ID))
		answer(w, http.StatusCreated, u)
	}
}

func get(s *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, err := s.get(pathID(r))
		if err != nil {
			refuse(w, err)
			return
		}
		answer(w, http.StatusOK, u)
	}
}

func rename(s *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, err := readName(w, r)
		if err != nil {
			refuse(w, err)
			return
		}
		u, err := s.rename(pathID(r), name)
		if err != nil {
			refuse(w, err)
			return
		}
		slog.InfoContext(r.Context(), "user renamed", "id", u.ID)
		answer(w, http.StatusOK, u)
	}
}

func remove(s *store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := pathID(r)
		if err := s.remove(id); err != nil {
			refuse(w, err)
			return
		}
		slog.InfoContext(r.Context(), "user removed", "id", id)
		w.WriteHeader(http.StatusNoContent)
	}
}

// pathID returns the path's {id}, or 0, which is no user's, where it is no
// number.
func pathID(r *http.Request) int {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return 0
	}
	return id
}

// readName returns the name in the request's body. Other members are ignored,
// so that what GET answered can be edited and PUT back.
func readName(w http.ResponseWriter, r *http.Request) (string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return "", fmt.Errorf("read body: %w", err)
	}
	var u user
	if err := json.Unmarshal(body, &u); err != nil {
		return "", fmt.Errorf("parse body: %w", err)
	}
	name := strings.TrimSpace(u.Name)
	if name == "" {
		return "", errors.New("name is missing or blank")
	}
	return name, nil
}

// refuse answers err with the status that belongs to it.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errNoUser):
		status = http.StatusNotFound
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	answer(w, status, map[string]string{"error": err.Error()})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // fails only where the client has left
}

func main() {} // never run; go vet ./... and go build ./... ask for it
