package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

// What is the daemon's own, what is secret and what is others' is hidden from every handler; what one may
// write is granted to that one.
func TestSandboxOfHandlers(t *testing.T) {
	dir := t.TempDir()
	conf, env := filepath.Join(dir, "p.conf"), filepath.Join(dir, "a.env")
	for path, text := range map[string]string{
		env: "A=1\n",
		conf: "[TLS]\nCertificate=/c.pem\nKey=/k.pem\nCertificate=c\nKey=credential\n[Handler a]\nReadWritePaths=/srv/a -/srv/x\nEnvironmentFile=" + env +
			"\nLoadCredential=x:" + env + "2\nLoadCredential=c\nSetCredential=x:1\nSetCredential=c:1\n[Handler b]\nEnvironment=TOKEN=x\nNoSandbox=yes\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
	c, err := Parse([]string{"--state", "/s", "--handlers", "/s/h", "--cache", "/cache", "--config", conf, "--sandbox=on", "--access-log", "/log", "--credentials", "/mem", "--control", "/c.sock"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := settings.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	of := c.Settings(file)
	if !strings.HasPrefix(c.Keep(), "/mem/credentials-") {
		t.Errorf("credentials are kept in %s", c.Keep())
	}
	if again, err := Parse([]string{"--credentials", "/mem", "--control", "/d.sock"}, nil, nil); err != nil || again.Keep() == c.Keep() {
		t.Errorf("two daemons keep them in one folder: %v", err)
	}
	a, b, other := of("a").Sandbox, of("b").Sandbox, of("other").Sandbox
	hide := []string{"/cache", "/k.pem", "/log", "/run/credentials/x", "/s", "/srv/a", "/srv/x", env, env + "2", conf, c.Keep()}
	slices.Sort(hide)
	if got := slices.Sorted(slices.Values(other.Hide)); !slices.Equal(got, hide) {
		t.Errorf("hidden is %q, not %q", got, hide)
	}
	if !slices.Equal(a.Write, []string{"/srv/a", "-/srv/x"}) || other.Write != nil || !b.Open || other.Open {
		t.Errorf("granted: %+v, %+v, %+v", a, b, other)
	}
	if other.Private != "/s/tmp" || !slices.Equal(other.Read, []string{"-/s/h"}) {
		t.Errorf("of all: %+v", other)
	}
	old := sandbox.Can{Landlock: 2, Seccomp: true}
	if c, err = Parse([]string{"--sandbox=off", "--state", "/s"}, nil, nil); err != nil || !c.Settings(file)("other").Sandbox.Open || c.Unconfined(old) != nil {
		t.Errorf("it cannot be taken from all: %v", err)
	}
	if c, err = Parse([]string{"--state", "run"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if c.Settings(file)("other").Sandbox.Open || c.Unconfined(old) == nil {
		t.Error("by default there are none")
	}
	for _, path := range c.sandbox(file).Hide {
		if !filepath.IsAbs(path) || strings.HasSuffix(path, "/-") {
			t.Errorf("hidden is %q, from wherever one is", path)
		}
	}
}

// The daemon's own files are its own where every handler is in a sandbox that keeps files.
func TestUnconfines(t *testing.T) {
	for _, tt := range []struct {
		flag, text string
		can        sandbox.Can
		want       bool
	}{
		{"on", "[Handler a]\nNoSandbox=no\n", sandbox.Can{Landlock: 2, Seccomp: true}, false},
		{"on", "[Handler a]\nNoSandbox=yes\n", sandbox.Can{Landlock: 6, Seccomp: true}, true},
		{"off", "", sandbox.Can{Landlock: 6, Seccomp: true}, true},
		{"on", "", sandbox.Can{Seccomp: true}, true},
	} {
		path := filepath.Join(t.TempDir(), "plugserverd.conf")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := settings.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse([]string{"--sandbox", tt.flag}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Unconfines(file, tt.can); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
