// Package words puts foreign text into sentences: what a file, a handler or the system
// says is shortened, kept on one line, and quoted where a terminal or a shell would act
// on it.
//
// It links the standard library only: cells word their own refusals with it.
package words

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// Quote shortens what a file says of itself and makes it safe for a terminal.
func Quote(s string) string {
	s = Short(s)
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return strconv.Quote(s)
		}
	}
	return s
}

// Short shortens a name that somebody else chose.
func Short(s string) string {
	if len(s) <= 120 {
		return s
	}
	return strings.ToValidUTF8(s[:120], "") + "..."
}

// List writes at most so many names, and says how many it left out.
func List(names []string, most int) string {
	rest := ""
	if n := len(names) - most; n > 0 {
		rest = fmt.Sprintf(" and %d more", n)
		names = names[:most]
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = Quote(n)
	}
	return strings.Join(out, ", ") + rest
}

// Within lists names in about so many bytes, and says how many it left out.
func Within(names []string, most int) string {
	size := 0
	for i, name := range names {
		if size += len(name) + 2; size > most {
			return fmt.Sprintf("%s and %d more", strings.Join(names[:i], ", "), len(names)-i)
		}
	}
	return strings.Join(names, ", ")
}

// Errno spares the reader the call and the path that wrap a system error.
func Errno(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// isPlain reports whether a shell takes s as one word as it stands.
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("@%_+=:,./-", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

// Shell quotes s so that a fix can be pasted into a shell.
func Shell(s string) string {
	if isPlain(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Bytes writes a limit in bytes.
func Bytes(limit int64) string {
	if limit >= 1<<20 && limit%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", limit>>20)
	}
	return fmt.Sprintf("%d bytes", limit)
}

// Last is the end of what a process said, on one line and of no more than a few
// lines' length.
func Last(said string) string {
	const most = 2000 // bytes
	said = strings.Join(strings.Fields(said), " ")
	if len(said) > most {
		said = "... " + strings.ToValidUTF8(said[len(said)-most:], "")
	}
	return said
}

// OneLine folds white space, so that a reason stays one line of the log.
func OneLine(s string) string { return strings.Join(strings.Fields(Clip(s)), " ") }

// Clip shortens what a handler says at length.
func Clip(s string) string {
	const most = 3000 // bytes
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s ... (%d bytes in all)", strings.ToValidUTF8(s[:most], ""), len(s))
}

// Lines are the first lines of what go said, on one line, bounded.
func Lines(lines []string) string {
	const most, mostBytes = 10, 2000
	var b strings.Builder
	for i, l := range lines {
		if i == most || b.Len()+len(l) > mostBytes {
			if i == 0 {
				b.WriteString(strings.ToValidUTF8(l[:mostBytes], ""))
			}
			fmt.Fprintf(&b, " | and %d more", len(lines)-max(i, 1))
			break
		}
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(OneLine(l))
	}
	return b.String()
}
