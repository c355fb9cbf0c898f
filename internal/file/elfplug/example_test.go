package elfplug_test

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// Whether a cell loads a plugin is known without running either.
func ExampleCompatible() {
	plugin := &elfplug.Info{GoVersion: "go1.25.4", Path: "example.com/users", Exports: []string{"Handler"}}
	cell := &elfplug.Info{GoVersion: "go1.26.0"}
	fmt.Println(elfplug.Compatible(plugin, cell).Reason)
	// Output: built by another Go release: have go1.25.4, want go1.26.0
}
