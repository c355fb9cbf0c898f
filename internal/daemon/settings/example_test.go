package settings_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "settings-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "plugserverd.conf")
	if err := os.WriteFile(path, []byte("[Handler users]\nMemoryMax=256M\nCell=small\n"), 0o600); err != nil {
		panic(err)
	}
	s, err := settings.Load(path)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Handler("users").MemoryMax>>20, s.Handler("users").Cell)
	// Output: 256 small
}
