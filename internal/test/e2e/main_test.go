package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testbed.CleanUp()
	os.Exit(code)
}

// plainSource answers with its version. Both strings are patched (see
// Plugin.Patched) to make many versions of many handlers out of one build.
const plainSource = `package main

import (
	"io"
	"net/http"
	"strings"
)

var (
	pattern = "PATTERN:........................................"
	version = "VERSION:................................"
)

func value(s string) string {
	_, v, _ := strings.Cut(s, ":")
	return strings.TrimRight(v, ".")
}

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	version := value(version)
	return value(pattern), func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, version)
	}
}
`

const (
	patternSlot = "PATTERN:........................................"
	versionSlot = "VERSION:................................"
)

// plain is a handler of the pattern that answers with the version.
func plain(tb testing.TB, pattern, version string) testbed.Plugin {
	tb.Helper()
	return plainBuild(tb).Patched(tb, patternSlot, "PATTERN:"+pattern, versionSlot, "VERSION:"+version)
}

func plainBuild(tb testing.TB) testbed.Plugin {
	tb.Helper()
	return plainly(tb, plainSource)
}

// plainly builds one file.
func plainly(tb testing.TB, code string) testbed.Plugin {
	tb.Helper()
	return testbed.Source{Files: map[string]string{"main.go": code}, Flags: []string{"-ldflags=-s"}}.Build(tb)
}

func number(n int) string { return fmt.Sprintf("v%06d", n) }

func newHTTPServer(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}
