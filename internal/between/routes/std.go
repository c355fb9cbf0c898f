package routes

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/routers"
)

// std is net/http.ServeMux, which does all matching.
type std struct{}

func (std) Syntax() string {
	return "the syntax of net/http.ServeMux: [METHOD ][HOST]/[PATH]"
}

func (std) Mux(handlers map[string]http.Handler, rest http.Handler) (Mux, error) {
	mux := http.NewServeMux()
	if _, all := handlers["/"]; !all && rest != nil {
		mux.Handle("/", rest)
	}
	// In one order, so that the error is the same each time.
	for _, pattern := range slices.Sorted(maps.Keys(handlers)) {
		if err := add(mux, pattern, handlers[pattern]); err != nil {
			return nil, err
		}
	}
	return mux, nil
}

// unplaced is what ServeMux says, without where each pattern was registered:
// here, always.
func unplaced(text string) string {
	for {
		head, tail, ok := strings.Cut(text, " (registered at ")
		if !ok {
			return text
		}
		_, tail, _ = strings.Cut(tail, ")")
		text = head + tail
	}
}

// add registers h. ServeMux reports a bad pattern by a panic.
func add(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pattern %q: %s", pattern, unplaced(fmt.Sprint(p)))
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

func (std) Valid(pattern string) error {
	return add(http.NewServeMux(), pattern, http.NotFoundHandler())
}

func (std) Places() routers.Places { return treeOf(nil) }
