package logs

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
)

func TestServiceOf(t *testing.T) {
	for groups, want := range map[string]string{
		"0::/system.slice/plugserverd.service\n":                                        "plugserverd.service",
		"0::/system.slice/system-plugserverd.slice/plugserverd@blue.service/main\n":     "plugserverd@blue.service",
		"12:pids:/user.slice\n1:name=systemd:/system.slice/plugserverd.service\n0::/\n": "plugserverd.service",
		"0::/user.slice/user-1000.slice/session-2.scope\n":                              "", "0::/\n": "", "": "",
	} {
		if unit, ok := serviceOf(groups); unit != want || ok != (want != "") {
			t.Errorf("%q: %q", groups, unit)
		}
	}
}

func TestJournalArgs(t *testing.T) {
	got := journalArgs("users", "plugserverd.service", 7, true, true)
	want := []string{"--no-pager", "--quiet", "--lines=7", "--follow", "--output=json", "_SYSTEMD_UNIT=plugserverd.service", "PLUGSERVER_HANDLER=users"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// What journalctl prints is printed, and its failure told. Without one, it is said where to look.
func TestLogs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	t.Setenv("PLUGSERVER_CONTROL", filepath.Join(dir, "none"))
	logs := func() (int, string, string) {
		var out, errs bytes.Buffer
		return cli.Run(t.Context(), []*cli.Command{&Logs}, []string{"logs", "-n", "3", "--", "-x"}, &out, &errs, 80), out.String(), errs.String()
	}
	if code, out, errs := logs(); code != cli.ExitError || out != "" || !strings.Contains(errs, "there is no journalctl") {
		t.Errorf("without: exit %d, %q, %q", code, out, errs)
	}
	for script, want := range map[string]int{`echo "$*"`: cli.ExitOK, `echo "$*"; exit 1`: cli.ExitError} {
		if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := logs(); code != want || out != "--no-pager --quiet --lines=3 --output=short-iso PLUGSERVER_HANDLER=-x\n" {
			t.Errorf("exit %d, %q, %q", code, out, errs)
		}
	}
}
