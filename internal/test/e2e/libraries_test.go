package e2e

import (
	"fmt"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

const libraryUser = `package main

import (
	"io"
	"net/http"

	"e2e.example/lib"
)

func init() { lib.Set(%q) }

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/%s", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, lib.Get()) }
}
`

// librarySource is a handler that uses one of two versions of a library, with
// its state: "lib1" or "lib2".
func librarySource(name, lib string) testbed.Source {
	return testbed.Source{Dir: "main", Files: map[string]string{
		"main/go.mod":  fmt.Sprintf("module e2e.example/%s\n\ngo 1.24\n\nrequire e2e.example/lib v1.0.0\n\nreplace e2e.example/lib => ../%s\n", name, lib),
		"main/main.go": fmt.Sprintf(libraryUser, name, name),
		"lib1/go.mod":  "module e2e.example/lib\n\ngo 1.24\n",
		"lib1/lib.go":  "package lib\n\nvar state string\n\nfunc Set(s string) { state = s }\n\nfunc Get() string { return \"one: \" + state }\n",
		"lib2/go.mod":  "module e2e.example/lib\n\ngo 1.24\n",
		// Other variables under the same exported functions, and more of them.
		"lib2/lib.go": "package lib\n\nvar states []string\n\nvar Calls int\n\nfunc Set(s string) { states = append(states, s) }\n\nfunc Get() string { Calls++; return \"two: \" + states[0] }\n",
	}}
}

// myPlugin is a handler of a module whose path others have, too.
func myPlugin(name string) testbed.Source {
	return testbed.Source{Files: map[string]string{
		"go.mod":     "module myplugin\n\ngo 1.24\n",
		"main.go":    "package main\n\nimport (\n\t\"io\"\n\t\"net/http\"\n\n\t\"myplugin/in\"\n)\n\nfunc Handler() (string, func(http.ResponseWriter, *http.Request)) {\n\treturn in.Pattern, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, in.Pattern) }\n}\n",
		"in/in.go":   fmt.Sprintf("package in\n\nvar Pattern = \"/%s\"\n", name),
		"unused.txt": name,
	}}
}

// Two handlers that use different versions of one library, with its state,
// and two whose modules have the same path: plugins that no single process
// could hold.
func TestConflictingModules(t *testing.T) {
	d := testbed.Start(t)
	for name, src := range map[string]testbed.Source{
		"user1": librarySource("user1", "lib1"), "user2": librarySource("user2", "lib2"), "same1": myPlugin("same1"), "same2": myPlugin("same2"),
	} {
		d.Put(name, src.Build(t))
	}
	d.Put("echo", testbed.Sample(t, "echo")) // a third-party library on top
	c := d.Dial()
	defer c.Close()
	for range 3 {
		for path, want := range map[string]string{
			"/user1": "one: user1", "/user2": "two: user2", "/same1": "/same1", "/same2": "/same2",
		} {
			if a, err := c.Get(path); err != nil || string(a.Body) != want {
				t.Errorf("%s: got %d %q %v, want %q", path, a.Status, a.Body, err, want)
			}
		}
	}
}
