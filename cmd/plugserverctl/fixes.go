package main

import (
	"fmt"
	"io"

	"github.com/andrestc/go-plugserver/internal/terminal"
)

// writeFixes writes what mends something, the best first: one a line, unwrapped,
// for a command to be pasted.
func writeFixes(w io.Writer, indent, mend string, or []string) {
	if mend == "" {
		return
	}
	fmt.Fprintf(w, "%smend: %s\n", indent, terminal.Escape(mend))
	for _, other := range or {
		fmt.Fprintf(w, "%s  or: %s\n", indent, terminal.Escape(other))
	}
}
