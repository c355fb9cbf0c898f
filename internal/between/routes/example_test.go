package routes_test

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/routes"
)

// An index finds what a pattern can overlap with, and what it cannot be served beside.
func ExampleNewIndex() {
	x := routes.NewIndex(routes.Std, []string{"/users/{id}", "/static/"}, func(p string) string { return p })
	fmt.Println(x.Overlapping([]string{"/users/me"}))
	_, pattern, conflict := x.Conflicting("/users/{name}")
	fmt.Println(pattern, conflict)
	// Output:
	// [/users/{id}]
	// /users/{name} true
}
