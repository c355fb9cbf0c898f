// A handler that is a whole router: chi's own patterns, middleware and mounted routers,
// below the one path that this handler has of the server.
package main

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"
)

// Handlers gives the router all that is at or below /books. Whatever router it is, it
// sees each request's whole path.
func Handlers() map[string]http.Handler {
	r := router()
	return map[string]http.Handler{"/books": r, "/books/": r}
}

func router() http.Handler {
	r := chi.NewRouter()
	r.Use(inEnglish)
	r.Route("/books", func(r chi.Router) {
		r.Get("/", list)
		r.Get("/{id:[0-9]+}", one)                  // a pattern that net/http's mux does not have
		r.Get("/by/{author}", by)                   // beside it
		r.Mount("/covers", http.HandlerFunc(cover)) // any handler below
	})
	return r
}

type book struct{ ID, Title, Author string }

var books = []book{{"1", "Mathematical Notes", "Ada"}, {"2", "Compilers", "Grace"}}

// inEnglish is middleware of all routes.
func inEnglish(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Language", "en")
		next.ServeHTTP(w, r)
	})
}

func list(w http.ResponseWriter, r *http.Request) { answer(w, books) }

func one(w http.ResponseWriter, r *http.Request) {
	i := slices.IndexFunc(books, func(b book) bool { return b.ID == r.PathValue("id") }) // or chi.URLParam
	if i < 0 {
		http.Error(w, "no such book", http.StatusNotFound)
		return
	}
	answer(w, books[i])
}

func by(w http.ResponseWriter, r *http.Request) {
	answer(w, slices.DeleteFunc(slices.Clone(books), func(b book) bool { return b.Author != chi.URLParam(r, "author") }))
}

func cover(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "no cover of "+r.URL.Path, http.StatusNotFound)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

func main() {}
