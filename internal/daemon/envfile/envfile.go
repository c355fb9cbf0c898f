// Package envfile reads assignments of variables, on one line, or in a file of lines, and what of both a
// handler's environment has. It is pure. No error of it has a value in it: that may be a secret.
package envfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Name reports whether a variable may have that name.
func Name(s string) bool { return name.MatchString(s) }

// Secret is an error of an assignment whose value is nobody's to see in a log.
type Secret struct{ error }

// Secretly is err, as a Secret.
func Secretly(err error) error { return Secret{err} }

// Words reads words NAME=VALUE, where quotes keep space together.
func Words(line string) ([]string, error) {
	words, err := Split(line)
	if err != nil {
		return nil, err
	}
	for _, w := range words {
		if name, _, ok := strings.Cut(w, "="); !ok || !Name(name) {
			return nil, errors.New(`not an assignment; write NAME=VALUE, or "NAME=VALUE WITH SPACE"`)
		}
	}
	return words, nil
}

// Lines reads lines NAME=VALUE; those that are empty, or begin with # or ;, say nothing.
func Lines(text string) (all []string, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, v, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !ok || !Name(name) || strings.Contains(v, "\x00") {
			return nil, fmt.Errorf("line %d is no assignment; write NAME=VALUE", number)
		}
		if v = strings.TrimSpace(v); strings.ContainsAny(v, `"'\`) {
			words, err := Split(v)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			v = strings.Join(words, " ")
		}
		all = append(all, name+"="+v)
	}
	return all, nil
}

// Split splits words at space. Quotes, single or double, keep space within a word; a
// backslash takes what follows as it is, but within single quotes.
func Split(text string) (words []string, err error) {
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
