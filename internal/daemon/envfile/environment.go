package envfile

import (
	"errors"
	"path/filepath"
	"strings"
)

// Environment is what a handler's environment has beside what every handler's has. It is
// comparable: two that are equal say the same.
type Environment struct {
	pass, set, files List
}

// Pass are the names of variables that are passed on from the daemon's own environment.
func (e Environment) Pass() []string { return e.pass.All() }

// Set are the assignments, NAME=VALUE, of Environment= and of the files, in the order in which
// they hold: a later one of a name stands for those before.
func (e Environment) Set() []string { return append(e.set.All(), e.files.All()...) }

// Reader returns what is in a file.
type Reader func(file string) (content string, there bool, err error)

// Repeated are the keys of which every assignment holds, until an empty one.
var Repeated = []string{"Environment", "EnvironmentFile", "PassEnvironment"}

// Keys are the keys that set e.
func (e *Environment) Keys(read Reader) map[string]func(string) error {
	return map[string]func(string) error{
		"PassEnvironment": e.pass.Adding(parseNames),
		"Environment":     e.set.Adding(parseAssignments),
		"EnvironmentFile": e.files.Adding(func(value string) ([]string, error) { return readAssignments(value, read) }),
	}
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
	case !Name(name):
		return errors.New("not the name of a variable; write letters, digits and '_', with no digit first")
	}
	return nil
}

// parseAssignments reads NAME=VALUE words, where quotes keep space together.
func parseAssignments(value string) ([]string, error) {
	all, err := Words(value)
	if err != nil {
		return nil, Secretly(err)
	}
	return all, nil
}

// readAssignments reads a file of lines NAME=VALUE. One whose path begins with "-" need not be there.
func readAssignments(value string, read Reader) ([]string, error) {
	path, optional := strings.CutPrefix(value, "-")
	if !filepath.IsAbs(path) {
		return nil, errors.New("not an absolute path; write one such as /etc/plugserver/users.env, without quotes, or with '-' before it where it need not be there")
	}
	text, there, err := read(path)
	if err != nil {
		return nil, err
	}
	if !there {
		if optional {
			return nil, nil
		}
		return nil, errors.New("there is no such file; make it, or write '-' before the path where it need not be there")
	}
	return Lines(text)
}
