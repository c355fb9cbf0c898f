package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		env   []string
		check func(*Config) bool
	}{
		{"defaults", nil, nil, func(c *Config) bool {
			return slices.Equal(c.Listen, []string{":8080"}) && c.Handlers == "/var/lib/plugserver/handlers" &&
				c.Store() == "/var/lib/plugserver/store" && c.Control == "/run/plugserver/control.sock" &&
				c.Poll == 5*time.Second && c.DrainTimeout == 30*time.Second
		}},
		{"repeated", []string{"--listen", ":1", "--listen", "unix:/x"}, nil, func(c *Config) bool {
			return slices.Equal(c.Listen, []string{":1", "unix:/x"})
		}},
		{"environment", nil, []string{"PLUGSERVER_DRAIN_TIMEOUT=3s", "PLUGSERVER_LISTEN=:1 :2,:3"}, func(c *Config) bool {
			return c.DrainTimeout == 3*time.Second && slices.Equal(c.Listen, []string{":1", ":2", ":3"})
		}},
		{"a flag beats the environment", []string{"--poll=1s"}, []string{"PLUGSERVER_POLL=9s"}, func(c *Config) bool { return c.Poll == time.Second }},
		{"crash limit", []string{"--crash-limit", "5/2m"}, nil, func(c *Config) bool { return c.CrashLimit == crashFlag{5, 2 * time.Minute} }},
		{"no crash limit", []string{"--crash-limit", "0"}, nil, func(c *Config) bool { return c.CrashLimit.N == 0 }},
		{"an empty variable says nothing", nil, []string{"PLUGSERVER_POLL="}, func(c *Config) bool { return c.Poll == 5*time.Second }},
	} {
		got, err := Parse(c.args, c.env, nil)
		if err != nil || !c.check(got) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestBadUsageIsNamed(t *testing.T) {
	for _, c := range []struct {
		args, env []string
		named     string
	}{
		{[]string{"--nope"}, nil, "nope"},
		{[]string{"handlers"}, nil, `"handlers"`},
		{[]string{"--poll", "often"}, nil, "often"},
		{[]string{"--poll", "0s"}, nil, "--poll"},
		{[]string{"--drain-timeout=-1s"}, nil, "--drain-timeout"},
		{[]string{"--log-level", "loud"}, nil, `"loud"`},
		{[]string{"--log-format", "xml"}, nil, `"xml"`},
		{[]string{"--log-output", "stdin"}, nil, `possible are stderr and stdout`},
		{[]string{"--max-header-bytes", "12"}, nil, "--max-header-bytes"},
		{[]string{"--crash-limit", "3"}, nil, "crash-limit"},
		{[]string{"--crash-limit", "3/0s"}, nil, "crash-limit"},
		{[]string{"--max-file-bytes", "0"}, nil, "--max-file-bytes"},
		{nil, []string{"PLUGSERVER_POLL=often"}, `PLUGSERVER_POLL, in the environment, is "often": not a time; write one such as`},
		{nil, []string{"PLUGSERVER_MAX_HEADER_BYTES=1k"}, `PLUGSERVER_MAX_HEADER_BYTES, in the environment, is "1k": not a whole number; write one such as 65536`},
		{nil, []string{"PLUGSERVER_CRASH_LIMIT=3"}, "want a number of crashes and a time"},
		{nil, []string{"PLUGSERVER_LOG_LEVEL=loud"}, `PLUGSERVER_LOG_LEVEL, in the environment, is "loud", possible are error,`},
		{nil, []string{"PLUGSERVER_POLL=0s"}, `PLUGSERVER_POLL, in the environment, is 0s, the least is 10ms`},
		{nil, []string{"PLUGSERVER_POLL=often", "PLUGSERVER_HOLD=long"}, "PLUGSERVER_HOLD"},
		{[]string{"--hold=long"}, nil, `--hold is "long": not a time; write one such as`},
		{[]string{"--lisen", ":1"}, nil, "there is no flag --lisen; did you mean --listen?"},
		{[]string{"--trusted-proxies", "10.0.0.0/8,10.0.0/8"}, nil, `--trusted-proxies: "10.0.0/8" is no network; write one`},
		{[]string{"--trusted-proxy-header", "via"}, nil, "trusted-proxy-header"},
		{[]string{"--access-log", "access.log"}, nil, `--access-log is "access.log", possible are journal, stdout and an absolute path`},
		{[]string{"--max-patterns", "0"}, nil, "--max-patterns"},
		{[]string{"--max-connections", "-1"}, nil, "--max-connections is -1, from 0 to"},
		{[]string{"--max-body", "0"}, nil, "flag -max-body: no body at all could be sent; the least is 1"},
		{nil, []string{"PLUGSERVER_MAX_BODY=10MB"}, "not a size; write bytes, or a number with K, M, G or T"},
		{[]string{"--max-patterns", "100001"}, nil, "--max-patterns"},
		{[]string{"--max-pattern-bytes", "15"}, nil, "--max-pattern-bytes"},
	} {
		_, err := Parse(c.args, c.env, nil)
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.named) {
			t.Errorf("%q %q: %v, want it to name %s", c.args, c.env, err, c.named)
		}
	}
}

// Every flag of the daemon is in its help.
func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := Parse([]string{"--help"}, nil, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, f := range []string{"listen", "handlers", "state", "control", "cell", "poll", "drain-timeout", "idle-timeout",
		"header-timeout", "max-header-bytes", "log-level", "log-format", "version", "hold", "PLUGSERVER_"} {
		if !strings.Contains(help.String(), f) {
			t.Errorf("--help does not know %s", f)
		}
	}
}

// What the unit's file sets is named with its line, and what is no setting is
// named, too.
func TestEnvironmentFile(t *testing.T) {
	was := envFile
	defer func() { envFile = was }()
	envFile = filepath.Join(t.TempDir(), "plugserverd")
	if err := os.WriteFile(envFile, []byte("# PLUGSERVER_POLL=1s\n\nPLUGSERVER_POLL=often\nPLUGSERVER_HANDLER=/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse(nil, []string{"PLUGSERVER_POLL=often"}, nil)
	if err == nil || !strings.Contains(err.Error(), "PLUGSERVER_POLL, in line 3 of "+envFile+`, is "often": `) {
		t.Errorf("got %v", err)
	}
	c, err := Parse(nil, []string{"PLUGSERVER_HANDLER=/x", "PLUGSERVER_FROBNICATE=1", "PLUGSERVER_HOLD=1s", "OTHER=1"}, nil)
	want := []string{
		"PLUGSERVER_FROBNICATE, in the environment, is no setting",
		"PLUGSERVER_HANDLER, in line 4 of " + envFile + ", is no setting; did you mean PLUGSERVER_HANDLERS?",
	}
	if err != nil || !slices.Equal(c.Notes, want) {
		t.Errorf("got %q, %v\nwant %q", c.Notes, err, want)
	}
}
