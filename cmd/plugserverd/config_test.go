package main

import (
	"bytes"
	"errors"
	"flag"
	"net"
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
		check func(*config) bool
	}{
		{"defaults", nil, nil, func(c *config) bool {
			return slices.Equal(c.listen, []string{":8080"}) && c.handlers == "/var/lib/plugserver/handlers" &&
				c.store() == "/var/lib/plugserver/store" && c.control == "/run/plugserver/control.sock" &&
				c.poll == 5*time.Second && c.drainTimeout == 30*time.Second
		}},
		{"repeated", []string{"--listen", ":1", "--listen", "unix:/x"}, nil, func(c *config) bool {
			return slices.Equal(c.listen, []string{":1", "unix:/x"})
		}},
		{"environment", nil, []string{"PLUGSERVER_DRAIN_TIMEOUT=3s", "PLUGSERVER_LISTEN=:1 :2,:3"}, func(c *config) bool {
			return c.drainTimeout == 3*time.Second && slices.Equal(c.listen, []string{":1", ":2", ":3"})
		}},
		{"a flag beats the environment", []string{"--poll=1s"}, []string{"PLUGSERVER_POLL=9s"}, func(c *config) bool { return c.poll == time.Second }},
		{"crash limit", []string{"--crash-limit", "5/2m"}, nil, func(c *config) bool { return c.crashLimit == crashFlag{5, 2 * time.Minute} }},
		{"no crash limit", []string{"--crash-limit", "0"}, nil, func(c *config) bool { return c.crashLimit.n == 0 }},
		{"an empty variable says nothing", nil, []string{"PLUGSERVER_POLL="}, func(c *config) bool { return c.poll == 5*time.Second }},
	} {
		got, err := parse(c.args, c.env, nil)
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
		{[]string{"--max-header-bytes", "12"}, nil, "--max-header-bytes"},
		{[]string{"--crash-limit", "3"}, nil, "crash-limit"},
		{[]string{"--crash-limit", "3/0s"}, nil, "crash-limit"},
		{[]string{"--max-file-bytes", "0"}, nil, "--max-file-bytes"},
		{nil, []string{"PLUGSERVER_POLL=often"}, `PLUGSERVER_POLL, in the environment, is "often": not a time; write one such as`},
		{nil, []string{"PLUGSERVER_MAX_HEADER_BYTES=1k"}, `PLUGSERVER_MAX_HEADER_BYTES, in the environment, is "1k": not a whole number; write one such as 1048576`},
		{nil, []string{"PLUGSERVER_CRASH_LIMIT=3"}, "want a number of crashes and a time"},
		{nil, []string{"PLUGSERVER_LOG_LEVEL=loud"}, `PLUGSERVER_LOG_LEVEL, in the environment, is "loud", possible are error,`},
		{nil, []string{"PLUGSERVER_POLL=0s"}, `PLUGSERVER_POLL, in the environment, is 0s, the least is 10ms`},
		{nil, []string{"PLUGSERVER_POLL=often", "PLUGSERVER_HOLD=long"}, "PLUGSERVER_HOLD"},
		{[]string{"--hold=long"}, nil, `--hold is "long": not a time; write one such as`},
		{[]string{"--lisen", ":1"}, nil, "there is no flag --lisen; did you mean --listen?"},
		{[]string{"--max-patterns", "0"}, nil, "--max-patterns"},
		{[]string{"--max-patterns", "100001"}, nil, "--max-patterns"},
		{[]string{"--max-pattern-bytes", "15"}, nil, "--max-pattern-bytes"},
	} {
		_, err := parse(c.args, c.env, nil)
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), c.named) {
			t.Errorf("%q %q: %v, want it to name %s", c.args, c.env, err, c.named)
		}
	}
}

// Every flag of the daemon is in its help.
func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parse([]string{"--help"}, nil, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, f := range []string{"listen", "handlers", "state", "control", "cell", "poll", "drain-timeout", "idle-timeout",
		"header-timeout", "max-header-bytes", "log-level", "log-format", "version", "hold", "PLUGSERVER_"} {
		if !strings.Contains(help.String(), f) {
			t.Errorf("--help does not know %s", f)
		}
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	for range 2 { // the second finds a socket that nobody listens on
		files, names, err := listen([]string{"127.0.0.1:0", "unix:" + path})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(names[0], "127.0.0.1:") || strings.HasSuffix(names[0], ":0") || names[1] != "unix:"+path {
			t.Errorf("listening on %q", names)
		}
		for _, network := range []string{"tcp", "unix"} {
			c, err := net.Dial(network, map[string]string{"tcp": names[0], "unix": path}[network])
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		if _, _, err := listen([]string{"unix:" + path}); err == nil {
			t.Error("took a socket over on which somebody listens")
		}
		if _, _, err := listen([]string{names[0]}); err == nil || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("a port in use: %v", err)
		}
		for _, f := range files {
			f.Close()
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
	_, err := parse(nil, []string{"PLUGSERVER_POLL=often"}, nil)
	if err == nil || !strings.Contains(err.Error(), "PLUGSERVER_POLL, in line 3 of "+envFile+`, is "often": `) {
		t.Errorf("got %v", err)
	}
	c, err := parse(nil, []string{"PLUGSERVER_HANDLER=/x", "PLUGSERVER_FROBNICATE=1", "PLUGSERVER_HOLD=1s", "OTHER=1"}, nil)
	want := []string{
		"PLUGSERVER_FROBNICATE, in the environment, is no setting",
		"PLUGSERVER_HANDLER, in line 4 of " + envFile + ", is no setting; did you mean PLUGSERVER_HANDLERS?",
	}
	if err != nil || !slices.Equal(c.notes, want) {
		t.Errorf("got %q, %v\nwant %q", c.notes, err, want)
	}
}

// A daemon that cannot begin waits longer each time, within bounds.
func TestFailures(t *testing.T) {
	t.Setenv("CACHE_DIRECTORY", t.TempDir())
	var last time.Duration
	for i := range 10 {
		pause := pauseAfter(failures())
		if i == 0 && pause != startPause || pause < last || pause > startPauseMax {
			t.Errorf("pause %d is %v after %v", i, pause, last)
		}
		last = pause
	}
	if last != startPauseMax {
		t.Errorf("the last pause is %v", last)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(failuresFile(), long, long); err != nil {
		t.Fatal(err)
	}
	if n := failures(); n != 0 {
		t.Errorf("%d failures an hour ago count", n)
	}
	forgetFailures()
	if n := failures(); n != 0 {
		t.Errorf("%d failures count after a start", n)
	}
}
