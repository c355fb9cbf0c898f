package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// The page in a real browser: see browser/page.mjs. What it looked like is in
// bin/screenshots/ then.
func TestPage(t *testing.T) {
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && chromium == "" {
			chromium = path
		}
	}
	if chromium == "" {
		testbed.Missing(t, "there is no browser: make deps")
	}
	testbed.Need(t, "there is no node: make deps", "node")
	if _, err := os.Stat("browser/node_modules/playwright-core"); err != nil {
		testbed.Missing(t, "there is no playwright-core: make deps")
	}
	shots := filepath.Join(testbed.SourceRoot(), "bin", "screenshots")
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}

	d := testbed.Start(t, testbed.Flags("--admin-listen", "127.0.0.1:0"))
	admin := d.Admin()
	d.Put("users", plain(t, "/users", number(0)))
	d.Put("users", plain(t, "/users", number(1)))
	load := testbed.Plan{Addr: d.Addr, Clients: 1, Paths: []string{"/users"}, Pause: func(int) time.Duration { return 2 * time.Millisecond }}.Run(t)
	cmd := exec.CommandContext(t.Context(), "node", "page.mjs")
	cmd.Dir = "browser"
	cmd.Env = append(os.Environ(),
		"PAGE=http://"+admin+"/", "CHROMIUM="+chromium, "SHOTS="+shots,
		"DROP_FROM="+d.Temp(plain(t, "GET /dropped/{name}", "dropped").Bytes), "DROP_TO="+d.Path("dropped"),
		"REFUSED="+d.Path("wrong"), "WRONG_FIX=buildmode=plugin")
	out, err := cmd.CombinedOutput()
	load.End()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := load.Errors(); err != nil {
		t.Error(err)
	}
}
