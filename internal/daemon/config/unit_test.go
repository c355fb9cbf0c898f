package config

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the unit has systemd make can be run where that is meant alone, and a purge removes
// all of it, of every instance.
func TestUnitsFolders(t *testing.T) {
	read := func(file string) string {
		t.Helper()
		text, err := os.ReadFile("../../../packaging/" + file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	unit, purge := read("systemd/plugserverd.service"), read("deb/debian/plugserver.postrm")
	words := func(key string) []string {
		_, value, _ := strings.Cut(unit, "\n"+key+"=")
		value, _, _ = strings.Cut(value, "\n")
		return strings.Fields(value)
	}
	found := 0
	for key, above := range map[string]string{"StateDirectory": "/var/lib/", "CacheDirectory": "/var/cache/", "LogsDirectory": "/var/log/", "RuntimeDirectory": "/run/"} {
		for _, name := range words(key) {
			found++
			folder := above + name
			if slices.Contains(words("NoExecPaths"), folder) == slices.Contains(words("ExecPaths"), folder) {
				t.Errorf("%s is to be in one of NoExecPaths= and ExecPaths=", folder)
			}
			if above == "/run/" {
				continue // systemd's to remove
			}
			if !regexp.MustCompile(`rm -rf .*` + folder + `( |\n)`).MatchString(purge) {
				t.Errorf("a purge leaves %s", folder)
			}
			if key == "StateDirectory" && !strings.Contains(purge, `"$state/`+path.Base(name)+`"`) {
				t.Errorf("a purge leaves an instance's %s", path.Base(name))
			}
		}
	}
	if found < 6 {
		t.Errorf("the unit has %d folders", found)
	}
}
