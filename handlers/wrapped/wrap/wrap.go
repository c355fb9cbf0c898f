// Package wrap is middleware: what is to be around handlers, such as those of one team. It is a library like any other, and
// compiled into each handler that imports it, so that each has the version that it was tested with.
package wrap

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Wrapper puts something around a handler.
type Wrapper func(next http.Handler) http.Handler

// All puts wrappers around each handler, the first outermost.
func All(handlers map[string]http.Handler, wrappers ...Wrapper) map[string]http.Handler {
	all := make(map[string]http.Handler, len(handlers))
	for pattern, h := range handlers {
		for _, w := range slices.Backward(wrappers) {
			h = w(h)
		}
		all[pattern] = h
	}
	return all
}

type key int

const (
	idKey key = iota
	userKey
)

var plain = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// RequestID gives each request an ID, that of its X-Request-Id or else a new one, which the answer has, too.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if !plain.MatchString(id) { // nobody is to write what he likes into the log
			id = rand.Text()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), idKey, id)))
	})
}

// ID is the request's ID, "" outside of RequestID.
func ID(r *http.Request) string {
	id, _ := r.Context().Value(idKey).(string)
	return id
}

// Auth lets those through whose bearer token known knows, and answers others 401. It is called by many goroutines.
func Auth(known func(token string) (user string, ok bool)) Wrapper {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, shown := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			user, ok := "", false
			if shown {
				user, ok = known(token)
			}
			if !ok {
				w.Header().Set("WWW-Authenticate", "Bearer")
				http.Error(w, "show a token", http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey, user)))
		})
	}
}

// User is whom Auth has let through, "" outside of it.
func User(r *http.Request) string {
	user, _ := r.Context().Value(userKey).(string)
	return user
}

// CORS lets pages of these origins read answers, with these methods (https://fetch.spec.whatwg.org/#http-cors-protocol).
// It answers a browser's preflight itself, so the pattern has to take OPTIONS: one without a method does. It belongs
// outside of Auth, for a preflight shows no token.
func CORS(origins, methods []string) Wrapper {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Add("Vary", "Origin")
			origin := r.Header.Get("Origin")
			allowed := origin != "" && slices.Contains(origins, origin)
			if allowed {
				h.Set("Access-Control-Allow-Origin", origin)
			}
			if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
				next.ServeHTTP(w, r)
				return
			}
			h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
			if allowed {
				h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
				h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
				h.Set("Access-Control-Max-Age", "600")
			}
			w.WriteHeader(http.StatusNoContent)
		})
	}
}
