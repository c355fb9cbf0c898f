package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// WriteFixes writes what fixes something, the best first: one a line, unwrapped,
// for a command to be pasted.
func WriteFixes(w io.Writer, indent, mend string, or []string) {
	if mend == "" {
		return
	}
	fmt.Fprintf(w, "%smend: %s\n", indent, Escape(mend))
	for _, other := range or {
		fmt.Fprintf(w, "%s  or: %s\n", indent, Escape(other))
	}
}

// WriteJSON writes v indented, with nothing that a terminal could act on.
func WriteJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	io.WriteString(w, EscapeJSON(b.String()))
	return nil
}
