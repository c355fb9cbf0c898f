package torture

import (
	"fmt"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// conflicting are plugins that no single process could hold.
func conflicting() map[string]testbed.Source {
	const user = `package main

import (
	"io"
	"net/http"

	"torture.example/lib"
)

func init() { lib.Set(%q) }

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/%s", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, lib.Get()) }
}
`
	libs := map[string]string{
		"lib1": "package lib\n\nvar state string\n\nfunc Set(s string) { state = s }\n\nfunc Get() string { return \"one: \" + state }\n",
		"lib2": "package lib\n\nvar states []string\n\nvar Calls int\n\nfunc Set(s string) { states = append(states, s) }\n\nfunc Get() string { Calls++; return \"two: \" + states[0] }\n",
	}
	sources := make(map[string]testbed.Source)
	for name, lib := range map[string]string{"user1": "lib1", "user2": "lib2"} {
		sources[name] = testbed.Source{Dir: "main", Files: map[string]string{
			// One module path for both, too.
			"main/go.mod":      fmt.Sprintf("module torture.example/same\n\ngo 1.25\n\nrequire torture.example/lib v1.0.0\n\nreplace torture.example/lib => ../%s\n", lib),
			"main/main.go":     fmt.Sprintf(user, name, name),
			lib + "/go.mod":    "module torture.example/lib\n\ngo 1.25\n",
			lib + "/lib.go":    libs[lib],
			lib + "/unused.go": "package lib\n\n// " + name + "\n",
		}}
	}
	return sources
}
