// Package ini reads the syntax of systemd's files (systemd.syntax(7)), and what their values commonly are.
package ini

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"github.com/coreos/go-systemd/v22/unit"
)

// Entry is a section's header, whose Name is empty, or an assignment in the
// section.
type Entry struct {
	Section     string
	Name, Value string // without the space around them
	Line        int    // where it begins, from 1
}

// Parse yields what a file of the syntax of systemd.syntax(7) says, in its order.
// Values are text: no quotes, no specifiers. A line that says nothing is yielded
// as an error that carries its fix, with an Entry that has but a Line; a header
// that cannot be read takes what follows it along. A text that is no UTF-8, or
// holds control characters, is one error.
func Parse(text string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		text := strings.TrimPrefix(text, "\ufeff")
		if i := garbled(text); i >= 0 {
			yield(Entry{Line: 1 + strings.Count(text[:i], "\n")}, fmt.Errorf("byte %#02x belongs in no text; save the file as UTF-8", text[i]))
			return
		}
		var section string
		lost := false // below a header that cannot be read
		for number, line := range logicalLines(text) {
			e, err := Entry{}, error(nil)
			switch {
			case line[0] == '[':
				section, err = header(line)
				e.Section, lost = section, err != nil
			case lost:
				continue
			case section == "":
				err = fmt.Errorf("%.60q stands before any section; put it below a line [NAME]", line)
			default:
				e, err = assignment(section, line)
			}
			e.Line = number
			if !yield(e, err) {
				return
			}
		}
	}
}

// logicalLines yields the lines that are neither blank nor comments, trimmed,
// with the number where each begins. A backslash at the end of a line continues
// it on the next one that is no comment, and counts as a space.
func logicalLines(text string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		var logical strings.Builder
		number, first := 0, 0
		end := func() bool {
			line := strings.TrimSpace(logical.String())
			begun := first
			logical.Reset()
			first = 0
			return line == "" || yield(begun, line)
		}
		for line := range strings.Lines(text) {
			number++
			line = strings.TrimRight(line, "\r\n")
			if bare := strings.TrimSpace(line); strings.HasPrefix(bare, "#") || strings.HasPrefix(bare, ";") {
				continue
			}
			if first == 0 {
				first = number
			}
			rest := strings.TrimRight(line, `\`)
			if (len(line)-len(rest))%2 == 1 { // else they escape each other
				logical.WriteString(line[:len(line)-1])
				logical.WriteByte(' ')
				continue
			}
			logical.WriteString(line)
			if !end() {
				return
			}
		}
		end() // of a text that ends in a backslash
	}
}

// The library names no lines, and stops at the first error: it is given one
// logical line at a time.

func header(line string) (section string, err error) {
	sections, err := unit.DeserializeSections(strings.NewReader(line))
	if err == nil {
		section = strings.TrimSpace(sections[0].Section)
	}
	if section == "" {
		return "", words(err, line, "section header", "write [NAME], alone on its line")
	}
	return section, nil
}

func assignment(section, line string) (Entry, error) {
	options, err := unit.DeserializeOptions(strings.NewReader("[" + section + "]\n" + line))
	if err != nil || options[0].Name == "" {
		return Entry{}, words(err, line, "assignment", "write NAME=VALUE")
	}
	return Entry{Section: section, Name: options[0].Name, Value: options[0].Value}, nil
}

func words(err error, line, what, mend string) error {
	if errors.Is(err, unit.ErrLineTooLong) {
		return fmt.Errorf("line is longer than %d bytes; shorten it", unit.SYSTEMD_LINE_MAX)
	}
	return fmt.Errorf("%.60q is no %s; %s", line, what, mend)
}

// garbled returns the index of the first byte that no text file has, -1 if
// there is none.
func garbled(text string) int {
	for i, r := range text {
		switch {
		case r == '\t', r == '\n', r == '\r' && strings.HasPrefix(text[i:], "\r\n"):
		case r < ' ', r == 0x7f:
			return i
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return -1
}
