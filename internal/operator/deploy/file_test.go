package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is placed appears whole, or nothing of it does.
func TestPlace(t *testing.T) {
	src := filepath.Join(t.TempDir(), "a.so")
	const content = "whatever it holds"
	if err := os.WriteFile(src, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	version := hex.EncodeToString(sum[:])[:12]
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	for _, tt := range []struct {
		name         string
		ctx          context.Context
		src, version string
		make         bool // a folder of that name, which no file can replace
		want         string
	}{
		{name: "well", ctx: t.Context(), src: src, version: version},
		{name: "interrupted", ctx: over, src: src, version: version, want: "interrupted"},
		{name: "changed", ctx: t.Context(), src: src, version: "0123456789ab", want: `a.so" changed meanwhile; try again once it is built`},
		{name: "gone", ctx: t.Context(), src: src + "x", version: version, want: "no such file or directory"},
		{name: "taken", ctx: t.Context(), src: src, version: version, make: true, want: "file exists"},
	} {
		dir := t.TempDir()
		dst := filepath.Join(dir, "b.so")
		if tt.make {
			if err := os.MkdirAll(filepath.Join(dst, "c"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := place(tt.ctx, dst, tt.src, tt.version)
		if tt.want != "" {
			if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want … %s", tt.name, err, tt.want)
			}
		} else if got, e := os.ReadFile(dst); err != nil || e != nil || string(got) != content {
			t.Errorf("%s: %v, %v, %q", tt.name, err, e, got)
		} else if st, err := os.Stat(dst); err != nil || st.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v", tt.name, st.Mode(), err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "b.so" {
				t.Errorf("%s: it left %q", tt.name, e.Name())
			}
		}
	}
}
