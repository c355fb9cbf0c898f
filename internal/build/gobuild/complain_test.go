package gobuild

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
)

func TestComplain(t *testing.T) {
	file := &work{dir: "/cache/src/hi", file: true, src: Source{Path: "/h/hi.go", As: "hi.go"}}
	folder := &work{dir: "/cache/src/hi", src: Source{Path: "/h/hi", As: "hi"}}
	inPlace := &work{dir: "/m/cmd/hi", src: Source{Path: "/m/cmd/hi", As: "cmd/hi", InPlace: true}}
	for _, tt := range []struct {
		w        *work
		in, want []string
		reason   string // "" is the lines
	}{
		{w: file, in: []string{"# plugserver.local/hi", "./hi.go:1:2: no", "\thave (a)", "hi.go:3: too many errors"},
			want: []string{"hi.go:1:2: no", "\thave (a)", "hi.go:3: too many errors"}},
		{w: file, in: []string{"go: warning", "/cache/src/hi/hi.go:1:2: no"}, want: []string{"hi.go:1:2: no"}},
		{w: folder, in: []string{"./a.go:1:2: no", "lib/b.go:3:4: no", "/go/src/net/net.go:5: no"},
			want: []string{"hi/a.go:1:2: no", "hi/lib/b.go:3:4: no", "/go/src/net/net.go:5: no"}},
		{w: folder, in: []string{"cannot stat /cache/src/hi/x: no; in /cache/src/hi"}, want: []string{"cannot stat hi/x: no; in hi"}},
		{w: inPlace, in: []string{"../../lib/b.go:3:4: no", "/m/cmd/hi/c.go:1: no"}, want: []string{"lib/b.go:3:4: no", "cmd/hi/c.go:1: no"}},
		{w: file, in: []string{"# plugserver.local/hi", ""}, want: []string{"go build failed and did not say why"}},
		{w: folder, in: []string{"go: -buildmode=plugin requires exactly one main package"}, reason: "hi is no source of a handler: -buildmode=plugin requires"},
	} {
		err := tt.w.complain(tt.in)
		said, ok := errors.AsType[*CompileError](err)
		switch {
		case tt.reason != "" && (ok || !strings.HasPrefix(err.Error(), tt.reason)):
			t.Errorf("%q: got %v", tt.in, err)
		case tt.reason == "" && (!ok || !slices.Equal(said.Lines, tt.want)):
			t.Errorf("%q: got %v, want %q", tt.in, err, tt.want)
		}
	}
}

// What go and the compilers print is foreign: it holds the source.
func FuzzComplain(f *testing.F) {
	f.Add("# plugserver.local/hi\n./hi.go:1:2: no\n\thave (a)\n", false)
	f.Add("net/http\ngo: downloading x v1\nhi.go:3:8: cannot find module: module lookup disabled by GOPROXY=off", true)
	f.Add("go: -buildmode=plugin requires exactly one main package", true)
	f.Add("\x1b[2J\r\n::: .go:1: \xff", false)
	f.Fuzz(func(t *testing.T, text string, file bool) {
		out := &toolchain.Output{}
		for len(text) > 0 {
			n := min(len(text), 7)
			if _, err := out.Write([]byte(text[:n])); err != nil {
				t.Fatal(err)
			}
			text = text[n:]
		}
		out.Flush()
		size := 0
		for _, l := range out.Kept {
			if strings.Contains(l, "\n") {
				t.Errorf("more than a line: %q", l)
			}
			size += len(l)
		}
		if size > toolchain.MaxOutput {
			t.Errorf("%d bytes kept", size)
		}
		w := &work{dir: "/cache/src/hi", file: file, src: Source{Path: "/h/hi", As: "hi"}}
		r, ok := errors.AsType[*refusal.Error](w.complain(out.Kept))
		if !ok || r.Reason == "" || r.Mend == "" || strings.ContainsAny(r.Error(), "\n\r\t") || len(r.Reason) > 4000 {
			t.Errorf("got %q", r)
		}
	})
}
