// Package terminal puts text on terminals: nothing in it acts on one, it fits into the
// columns that there are, and numbers have the unit that people read.
//
// Whatever comes from somebody else passes Escape: a handler's name, a refusal's
// reason, a log. Prose is wrapped; what is to be pasted into a shell is not.
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Escape returns s with all that does not print (control characters, marks
// that turn the direction of text, broken UTF-8) as Go escapes: \n, \x1b.
func Escape(s string) string {
	var b strings.Builder
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}

// Line is Escape for a line of what a program has printed: tabs are spaces, as in the stacks of Go.
func Line(s string) string { return Escape(strings.ReplaceAll(s, "\t", "    ")) }

// EscapeJSON does the same as Escape within JSON's own syntax. Outside of its strings
// JSON holds nothing but ASCII, inside no control characters of ASCII's but DEL.
func EscapeJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n', strconv.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		}
	}
	return b.String()
}

// wide are the characters that take two columns of a terminal (East Asian
// Width W and F, Unicode Standard Annex 11), rounded up where ranges mix.
var wide = [][2]rune{
	{0x1100, 0x115f}, {0x231a, 0x23f3}, {0x25fd, 0x27bf}, {0x2b1b, 0x2b55}, {0x2e80, 0xa4cf}, {0xa960, 0xa97c},
	{0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0xfe10, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
	{0x16fe0, 0x18cff}, {0x1aff0, 0x1b2fb}, {0x1d300, 0x1d376}, {0x1f000, 0x1faff}, {0x20000, 0x3fffd},
}

func runeWidth(r rune) int {
	if r < wide[0][0] {
		return 1
	}
	for _, span := range wide {
		if span[0] <= r && r <= span[1] {
			return 2
		}
	}
	return 1
}

// Width returns how many columns s takes at most.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// Cut splits s after as many columns as fit into limit.
func Cut(s string, limit int) (head, tail string) {
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > limit {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// Truncate returns s in at most limit columns, with … where it was cut.
func Truncate(s string, limit int) string {
	if Width(s) <= limit {
		return s
	}
	head, _ := Cut(s, limit-1)
	return head + "…"
}

// Pad returns s in exactly limit columns, cut or filled up with spaces.
func Pad(s string, limit int, right bool) string {
	s = Truncate(s, limit)
	space := strings.Repeat(" ", limit-Width(s))
	if right {
		return space + s
	}
	return s + space
}

// Wrap returns first and s, escaped, in lines of at most columns; the lines
// after the first are indented with rest. It breaks at spaces where it can.
func Wrap(first, rest, s string, columns int) string {
	var b strings.Builder
	line, empty := first, true
	for word := range strings.FieldsSeq(Escape(s)) {
		for word != "" {
			space := " "
			if empty {
				space = ""
			}
			room := columns - Width(line) - Width(space)
			head, tail := Cut(word, room) // not the width: a word may be huge
			if tail == "" {
				line, empty, word = line+space+word, false, ""
				continue
			}
			if empty { // it fits on no line
				line, word = line+head, tail
			}
			b.WriteString(line + "\n")
			line, empty = rest, true
		}
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	return b.String()
}
