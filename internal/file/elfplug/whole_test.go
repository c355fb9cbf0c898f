package elfplug

import (
	"bytes"
	"crypto/sha256"
	"os"
	"testing"
)

// What the go command has written is known by its own hash, in every release;
// one changed byte, or another build's tail, is noticed.
func TestWhole(t *testing.T) {
	w := shop(t)
	whole := func(b []byte) bool {
		t.Helper()
		is, err := Whole(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	var all [][]byte
	for _, tt := range []struct {
		name, before, flags string
		want                bool
	}{
		{"plain", "", "", true},
		{"stripped", "", "'-ldflags=-s -w'", true},
		{"trimmed", "", "-trimpath", true},
		{"linker-id", "", "'-ldflags=-B 0x1234567890abcdef'", true},
		{"no-linker-id", "", "-ldflags=-B=none", true},
		{"no-id", "", "-ldflags=-buildid=", false},
		{"go1.23", "GO111MODULE=off GOTOOLCHAIN=go1.23.0", "", true},
		{"go1.24", "GO111MODULE=off GOTOOLCHAIN=go1.24.10", "", true},
		{"go1.25", "GOTOOLCHAIN=go1.25.4", "", true},
	} {
		if tt.before != "" {
			if out, err := w.run(".", tt.before+" go version"); err != nil {
				t.Logf("no %s here: %s", tt.name, out)
				continue
			}
		}
		b, err := os.ReadFile(w.build(t, ".", "whole-"+tt.name+".so", tt.before, tt.flags+" -buildmode=plugin", "./tiny.v2"))
		if err != nil {
			t.Fatal(err)
		}
		if got := whole(b); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		all = append(all, b)
	}
	plain, other := all[0], all[1]
	for at := 0; at < len(plain); at += len(plain)/20 - 1 {
		changed := bytes.Clone(plain)
		changed[at] ^= 1
		mixed := append(bytes.Clone(other[:min(at+1, len(other))]), plain[min(at+1, len(plain)):]...)
		if whole(changed) || whole(mixed) && at > 0 && at < len(plain)-1 {
			t.Errorf("at byte %d of %d: changed %v, mixed %v", at, len(plain), whole(changed), whole(mixed))
		}
	}
	if whole(plain[:len(plain)-1]) || whole(nil) {
		t.Error("a part is whole")
	}
}

// An id is found wherever the pieces that are read end.
func TestHashWithout(t *testing.T) {
	id := []byte("0123456789/abcdef")
	for at := 64<<10 - 2*len(id); at < 64<<10+2*len(id); at++ {
		text := bytes.Repeat([]byte{'x'}, 200<<10)
		copy(text[at:], id)
		got, want := sha256.New(), sha256.New()
		if err := hashWithout(got, bytes.NewReader(text), id); err != nil {
			t.Fatal(err)
		}
		want.Write(bytes.ReplaceAll(text, id, make([]byte, len(id))))
		if contentID(got) != contentID(want) {
			t.Errorf("at %d", at)
		}
	}
}
