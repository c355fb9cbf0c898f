package gobuild

import (
	"path/filepath"
	"testing"
)

// What is built has a name by which it can be told from others.
func TestPluginName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "users")
	for what, want := range map[string]string{
		"hi": "hi.so", "./hi": "hi.so", "hi.go": "hi.so", "example.com/mod/cmd/hi": "hi.so", "example.com/hi/v2": "hi.so",
		dir: "users.so", dir + "/main.go": "users.so", dir + "/other.go": "other.so", "shop/main.go": "shop.so", "./shop/main.go": "shop.so",
		"main.go": "gobuild.so", "./main.go": "gobuild.so", "/main.go": "main.so",
	} {
		if got := PluginName(what); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
}
