package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// helpText is what --help prints, and the flags in it.
func helpText(t *testing.T) (text string, flags []string) {
	t.Helper()
	var help bytes.Buffer
	if _, err := Parse([]string{"--help"}, nil, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z0-9-]+)`).FindAllStringSubmatch(help.String(), -1) {
		flags = append(flags, "--"+m[1])
	}
	if len(flags) < 20 {
		t.Fatalf("found only %q in the help", flags)
	}
	return help.String(), flags
}

// The man page tells of every flag, and of no other.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../../packaging/deb/man/plugserverd.8")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\.It Fl -([a-z0-9-]+)`).FindAllSubmatch(page, -1) {
		told = append(told, "--"+string(m[1]))
	}
	_, flags := helpText(t)
	slices.Sort(told)
	slices.Sort(flags)
	if !slices.Equal(told, flags) {
		t.Errorf("plugserverd(8) tells of %q, the flags are %q", told, flags)
	}
}

// The settings that the package shows as defaults are flags, with values that
// are possible.
func TestPackagedSettings(t *testing.T) {
	text, err := os.ReadFile("../../../packaging/deb/debian/plugserver.plugserverd.default")
	if err != nil {
		t.Fatal(err)
	}
	_, flags := helpText(t)
	var env []string
	for _, m := range regexp.MustCompile(`(?m)^(#?)PLUGSERVER_([A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := strings.ToLower(strings.ReplaceAll(m[2], "_", "-"))
		if !slices.Contains(flags, "--"+name) {
			t.Errorf("there is no --%s", name)
		}
		set := []string{"PLUGSERVER_" + m[2] + "=" + m[3]}
		got, err := Parse(nil, set, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if m[1] == "" {
			env = append(env, set...)
			continue
		}
		want, err := Parse(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		got.origins = want.origins
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is not the default: %+v, want %+v", set, got, want)
		}
	}
	c, err := Parse(nil, env, nil)
	if err != nil || c.Build.word != "off" {
		t.Errorf("as packaged, --build is %q (%v), want off", c.Build.word, err)
	}
}

// What the shell completes is what there is.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text, flags := helpText(t)
	// What the completion asks for the flags.
	daemon := filepath.Join(dir, "plugserverd")
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "help"), []byte(text), 0o644),
		os.WriteFile(daemon, []byte("#!/bin/sh\nexec cat \"${0%/*}/help\"\n"), 0o755),
	); err != nil {
		t.Fatal(err)
	}
	completion, err := filepath.Abs("../../../packaging/deb/completion/plugserverd")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(flags)
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"", flags},
		{"--poll 1s --build-n", []string{"--build-network"}},
		{"--admin-listen ", nil},
		{"--build ", []string{"auto", "off"}},
		{"--build-cells o", []string{"off"}},
		{"--build-network ", []string{"off", "on"}},
		{"--log-format j", []string{"json"}},
		{"--trusted-proxies ", nil},
		{"--trust ", []string{"each", "one"}},
		{"--http2 ", []string{"all", "off", "tls"}},
		{"--mux ", []string{"chi", "gorilla", "httprouter", "std"}},
		{"--sandbox ", []string{"off", "on"}},
		{"--log-level ", []string{"debug", "error", "info", "warning"}},
		{"--access-log ", []string{"help", "plugserverd"}},
		{"--trusted-proxy-header f", []string{"forwarded"}},
		{"--access-log-format j", []string{"json"}},
		{"--config he", []string{"help"}},
		{"--cache ", nil}, // no folder is there
	} {
		script := `. "$COMPLETION"; compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _plugserverd "$DAEMON"
printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, append([]string{"-uc", script, "bash", "plugserverd"}, strings.Split(tt.line, " ")...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "COMPLETION="+completion, "DAEMON="+daemon)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", tt.line, err, out)
			continue
		}
		got := strings.Fields(string(out))
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}
