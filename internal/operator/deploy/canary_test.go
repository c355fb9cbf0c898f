package deploy

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIsServed(t *testing.T) {
	dir := t.TempDir()
	if err := isServed(dir, "users", "0123456789ab"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	version := func(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content)))[:12] }
	if err := os.WriteFile(filepath.Join(dir, "users.canary.so"), []byte("promoted"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := isServed(dir, "users", version("promoted")); err != nil {
		t.Error(err)
	}
	for _, serves := range []string{"the next", "the one before"} {
		err := isServed(dir, "users", version(serves))
		if err == nil || !strings.Contains(err.Error(), `is version `+version("promoted")+`, and "users" serves `+version(serves)) || !strings.Contains(err.Error(), "plugserverctl install --name users "+dir) {
			t.Errorf("where %s serves: %v", serves, err)
		}
	}
}
