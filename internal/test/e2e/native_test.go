package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// A plugin that links a C library which lies beside it: the library is no
// handler and nobody hears of it, and the refusal of the plugin, which is
// loaded from elsewhere, names the fix of that. A handler whose file becomes a
// library is refused, and serves on.
func TestLibraryBeside(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, "libgreet.so")
	if err := os.WriteFile(filepath.Join(dir, "greet.c"), []byte("int greet(void) { return 1; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", library, filepath.Join(dir, "greet.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	content, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	user := testbed.Go(fmt.Sprintf(`package main

/*
#cgo LDFLAGS: -L%s -lgreet -Wl,-rpath,$ORIGIN
int greet(void);
*/
import "C"
import "net/http"

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/greet", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200 + int(C.greet())) }
}
`, dir)).Build(t)

	d := testbed.Start(t)
	d.Put("libold", plain(t, "/libold", "old"))
	d.Drop("libgreet", testbed.NewPlugin(content))
	if err := os.Symlink("libother.so.1", d.Path("libother")); err != nil {
		t.Fatal(err)
	}
	mark := d.Log.Len()
	if errs, code := d.Reload(); code != 0 {
		t.Errorf("reload: exit %d: %s", code, errs)
	}
	d.Drop("greet", user)
	e := d.WaitRefused(mark, "greet")
	if !strings.Contains(e.Get("reason"), "libgreet.so: cannot open shared object file") || !strings.Contains(e.Get("reason"), "$ORIGIN") ||
		!strings.Contains(e.Get("mend"), "install libgreet.so where the dynamic linker looks") || strings.Contains(e.Get("mend"), "flags of plugserver-cell") {
		t.Errorf("refused: %s", e.Raw)
	}
	d.Drop("libold", testbed.NewPlugin(content))
	if e := d.WaitRefused(mark, "libold"); !strings.Contains(e.Get("reason"), "not a Go plugin") {
		t.Errorf("refused: %s", e.Raw)
	}
	d.Want("/libold", 200, "old")
	for _, h := range d.Status().Handlers {
		if strings.HasPrefix(h.Name, "libgreet") || h.Name == "libother" {
			t.Errorf("status: %+v", h)
		}
	}
	for _, e := range d.Log.From(0) {
		if h := e.Get("handler"); h == "libgreet" || h == "libother" {
			t.Errorf("the log: %s", e.Raw)
		}
	}
}
