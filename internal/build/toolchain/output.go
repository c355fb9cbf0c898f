package toolchain

import (
	"bytes"
	"regexp"
	"strings"
)

// MaxOutput bounds what is kept of what a run prints, in bytes.
const MaxOutput = 64 << 10

var (
	// importPath is what go build -v prints for each package.
	importPath = regexp.MustCompile(`^[A-Za-z0-9_][-A-Za-z0-9_.~+/]*$`)
	// goNotice is what the go command says of its own doings.
	goNotice = regexp.MustCompile(`^go: (downloading|finding|found|added|upgraded|to add|trying) `)
)

func isProgress(line string) bool {
	return importPath.MatchString(line) || goNotice.MatchString(line)
}

// Output is a writer that keeps the lines that are no progress, bounded. One
// goroutine writes to it: that of exec.Cmd which copies both streams.
type Output struct {
	Each func(string) // gets the lines of progress, if not nil
	Kept []string     // the others
	part []byte
	size int
}

func (o *Output) Write(b []byte) (int, error) {
	o.part = append(o.part, b...)
	for {
		i := bytes.IndexByte(o.part, '\n')
		if i < 0 {
			break
		}
		o.add(string(o.part[:i]))
		o.part = o.part[i+1:]
	}
	if len(o.part) > MaxOutput {
		o.Flush()
	}
	return len(b), nil
}

// Flush takes in what does not end a line.
func (o *Output) Flush() {
	if len(o.part) > 0 {
		o.add(string(o.part))
		o.part = nil
	}
}

func (o *Output) add(line string) {
	line = strings.TrimRight(line, "\r")
	if isProgress(line) {
		if o.Each != nil {
			o.Each(line)
		}
		return
	}
	if o.size += len(line); o.size < MaxOutput {
		o.Kept = append(o.Kept, line)
	}
}
