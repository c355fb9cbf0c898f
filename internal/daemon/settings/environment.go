package settings

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/andrestc/go-plugserver/internal/daemon/envfile"
)

// Environment is what a handler's environment has beside what every handler's has. It is
// comparable: two that are equal say the same.
type Environment struct {
	pass, set, files list
}

// list is a list of texts without NUL, each followed by one.
type list string

func (l list) all() []string {
	if l == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(l), "\x00"), "\x00")
}

func listOf(texts []string) (l list) {
	for _, t := range texts {
		l += list(t + "\x00")
	}
	return l
}

// Pass are the names of variables that are passed on from the daemon's own environment.
func (e Environment) Pass() []string { return e.pass.all() }

// Set are the assignments, NAME=VALUE, of Environment= and of the files, in the order in which
// they hold: a later one of a name stands for those before.
func (e Environment) Set() []string { return append(e.set.all(), e.files.all()...) }

// secret is an error of an assignment whose value is nobody's to see in a log.
type secret struct{ error }

// keys are the keys that set e.
func (e *Environment) keys() keys {
	return keys{
		"PassEnvironment": func(value string) error {
			return more(&e.pass, value, parseNames)
		},
		"Environment": func(value string) error {
			return more(&e.set, value, parseAssignments)
		},
		"EnvironmentFile": func(value string) error {
			return more(&e.files, value, readAssignments)
		},
	}
}

// more appends what parse makes of a value to l, and empties it for an empty one.
func more(l *list, value string, parse func(string) ([]string, error)) error {
	if value == "" {
		*l = ""
		return nil
	}
	texts, err := parse(value)
	if err == nil {
		*l += listOf(texts)
	}
	return err
}

func parseNames(value string) ([]string, error) {
	names := strings.Fields(value)
	for _, name := range names {
		if err := ParseVariable(name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// ParseVariable says what is wrong with the name of a variable that is passed on.
func ParseVariable(name string) error {
	switch {
	case strings.Contains(name, "="):
		return errors.New("has a value; write names alone, or use Environment=")
	case !envfile.Name(name):
		return errors.New("not the name of a variable; write letters, digits and '_', with no digit first")
	}
	return nil
}

// parseAssignments reads NAME=VALUE words, where quotes keep space together.
func parseAssignments(value string) ([]string, error) {
	all, err := envfile.Words(value)
	if err != nil {
		return nil, secret{err}
	}
	return all, nil
}

// readAssignments reads a file of lines NAME=VALUE. One whose path begins with "-" need not
// be there.
func readAssignments(value string) ([]string, error) {
	path, optional := strings.CutPrefix(value, "-")
	if !filepath.IsAbs(path) {
		return nil, errors.New("not an absolute path; write one such as /etc/plugserver/users.env, without quotes, or with '-' before it where it need not be there")
	}
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	if text == "" && !there(path) {
		if optional {
			return nil, nil
		}
		return nil, errors.New("there is no such file; make it, or write '-' before the path where it need not be there")
	}
	return envfile.Lines(text)
}
