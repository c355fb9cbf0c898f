package plan_test

import (
	"fmt"
	"github.com/andrestc/go-plugserver/internal/between/routes"

	"github.com/andrestc/go-plugserver/internal/daemon/plan"
)

// The incumbent keeps a contested pattern.
func ExampleClaim() {
	incumbent := plan.Claimant{Name: "old", Patterns: []string{"/users"}, Live: true}
	verdict, refused := plan.Claim(routes.Std, plan.Claimant{Name: "new", Patterns: []string{"/users"}}, []plan.Claimant{incumbent})
	fmt.Println(verdict == plan.Denied, refused.Reason)
	// Output: true pattern "/users" is taken by handler "old"
}

// A pattern changes hands in one table: who leaves gives it up, and who was proved
// has it.
func ExamplePassOn() {
	granted, denied := plan.PassOn(routes.Std, []plan.Stake{
		{Name: "old", Has: []string{"/users"}, Leaves: true},
		{Name: "new", Wants: []string{"/users"}},
		{Name: "late", Wants: []string{"/users"}},
	})
	fmt.Println(granted, denied["late"].Reason)
	// Output: [new] pattern "/users" is taken by handler "new"
}
