package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

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
	case !variable.MatchString(name):
		return errors.New("not the name of a variable; write letters, digits and '_', with no digit first")
	}
	return nil
}

// parseAssignments reads NAME=VALUE words, where quotes keep space together.
func parseAssignments(value string) ([]string, error) {
	words, err := unquote(value)
	if err != nil {
		return nil, secret{err}
	}
	for _, w := range words {
		name, _, ok := strings.Cut(w, "=")
		if !ok || !variable.MatchString(name) {
			return nil, secret{errors.New(`not an assignment; write NAME=VALUE, or "NAME=VALUE WITH SPACE"`)}
		}
	}
	return words, nil
}

// unquote splits words at space. Quotes, single or double, keep space within a word; a
// backslash takes what follows as it is, but within single quotes.
func unquote(text string) (words []string, err error) {
	var word strings.Builder
	quote, begun := rune(0), false
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("a quote, or what a backslash begins, does not end; close it")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// readAssignments reads a file of lines NAME=VALUE. One whose path begins with "-" need not
// be there.
func readAssignments(value string) (all []string, err error) {
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
	for i, line := range slices.Collect(strings.Lines(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, v, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || !variable.MatchString(name) || strings.Contains(v, "\x00") {
			return nil, fmt.Errorf("line %d is no assignment; write NAME=VALUE", i+1)
		}
		if v = strings.TrimSpace(v); strings.ContainsAny(v, `"'\`) {
			words, err := unquote(v)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			v = strings.Join(words, " ")
		}
		all = append(all, name+"="+v)
	}
	return all, nil
}
