package elfplug

import (
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

// A Setting is one flag or environment variable of a build, such as
// "-trimpath" or "GOEXPERIMENT", and its value. A flag that has none is "true".
type Setting struct{ Name, Value string }

// A Flag is a setting in which a plugin and its cell differ, such as "-trimpath" or
// "GOEXPERIMENT". Empty is unset.
type Flag struct{ Name, Have, Want string }

// tell words the differences.
func tell(flags []Flag) (all []string) {
	for _, f := range flags {
		all = append(all, "have "+f.word(f.Have)+", want "+f.word(f.Want))
	}
	return all
}

// word writes the flag with one of its values as a person would type it.
func (f Flag) word(value string) string {
	switch value {
	case "":
		return "no " + f.Name
	case "true":
		return f.Name
	}
	return f.Name + "=" + words.Quote(value)
}

// A Build is the command that builds a plugin which fits. The zero Build is a
// plain one.
type Build struct {
	Env     []Setting
	Flags   []Setting // besides -buildmode and -o
	Package string    // as the plugin itself names it; "" for the one in the current folder
}

// String writes the command so that it can be pasted into a shell.
func (b Build) String() string {
	var line []string
	for _, s := range b.Env {
		line = append(line, s.Name+"="+words.Shell(s.Value))
	}
	line = append(line, "go build -buildmode=plugin")
	for _, s := range b.Flags {
		switch s.Value {
		case "true":
			line = append(line, s.Name)
		case "":
			line = append(line, s.Name+"=")
		default:
			line = append(line, s.Name+"="+words.Shell(s.Value))
		}
	}
	line = append(line, "-o NAME.so")
	if p := b.Package; p != "" {
		// The name comes out of the file: one that needs quoting is no import path.
		if words.Shell(p) != p || strings.HasPrefix(p, "-") || len(p) > 200 {
			p = "."
		}
		line = append(line, p)
	}
	return strings.Join(line, " ")
}
