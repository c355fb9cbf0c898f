package table_test

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/table"
)

// A table is in force once the gate and every cell that was told of it say so.
func Example() {
	var t table.Table
	version := t.Change()
	t.Tell([]link.Route{{Pattern: "/users", Cell: 1}}, []table.Serves{{Cell: 1, Patterns: []string{"/users"}}})
	t.AckGate(version)
	fmt.Println(t.InForce() == version)
	t.Ack(1, version)
	fmt.Println(t.InForce() == version)
	// Output:
	// false
	// true
}
