package toolchain

import (
	"slices"
	"strings"
	"testing"
)

// Progress is told as it comes and not kept; what is kept is bounded, whatever the
// pieces it came in.
func TestOutput(t *testing.T) {
	const said = "net/http\ngo: downloading x v1\n# example.com/hi\r\n./hi.go:1:2: no\n\thave (a)"
	for n := 1; n <= len(said); n++ {
		var progress []string
		out := &Output{Each: func(line string) { progress = append(progress, line) }}
		for b := []byte(said); len(b) > 0; b = b[min(n, len(b)):] {
			if _, err := out.Write(b[:min(n, len(b))]); err != nil {
				t.Fatal(err)
			}
		}
		out.Flush()
		if want := []string{"net/http", "go: downloading x v1"}; !slices.Equal(progress, want) {
			t.Errorf("in pieces of %d: progress %q", n, progress)
		}
		if want := []string{"# example.com/hi", "./hi.go:1:2: no", "\thave (a)"}; !slices.Equal(out.Kept, want) {
			t.Errorf("in pieces of %d: kept %q", n, out.Kept)
		}
	}
	out := &Output{}
	for range 100 {
		out.Write([]byte(strings.Repeat("no! ", 1000) + "\n"))
	}
	size := 0
	for _, line := range out.Kept {
		size += len(line)
	}
	if size == 0 || size > MaxOutput {
		t.Errorf("%d bytes kept", size)
	}
}
