package libpath

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A library says where those that it needs are; what is none, or is cut off, says nothing.
func TestOf(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "a.c")
	if err := os.WriteFile(source, []byte("int a;"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := func(flags ...string) string {
		out := filepath.Join(dir, "a.so")
		if text, err := exec.Command("gcc", append(flags, "-shared", "-o", out, source)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return out
	}
	for _, tt := range []struct{ flag, want string }{
		{"-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib:/opt", "$ORIGIN/lib:/opt"},
		{"-Wl,--disable-new-dtags,-rpath,/old", "/old"},
		{"-O1", ""},
	} {
		if got := Of(build(tt.flag)); got != tt.want {
			t.Errorf("%s: %q", tt.flag, got)
		}
	}
	whole, err := os.ReadFile(build("-Wl,-rpath,/x"))
	if err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(dir, "part")
	for size := 0; size < len(whole); size += len(whole)/200 + 1 {
		if err := os.WriteFile(part, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if got := Of(part); got != "" && got != "/x" {
			t.Errorf("of %d bytes: %q", size, got)
		}
	}
	if err := os.WriteFile(part, append([]byte("MZ.."), whole[4:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Of(part); got != "" {
		t.Errorf("of what is no ELF file: %q", got)
	}
	if got := Of(filepath.Join(dir, "none")); got != "" {
		t.Errorf("of none: %q", got)
	}
}
