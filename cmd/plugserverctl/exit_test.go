package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/operator/cli"
)

func TestExitCodes(t *testing.T) {
	t.Setenv("PLUGSERVER_CONTROL", t.TempDir()+"/none")
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"help"}, cli.ExitOK}, {[]string{"version"}, cli.ExitOK}, {[]string{"--help"}, cli.ExitOK},
		{[]string{"status"}, cli.ExitError}, {[]string{"reload"}, cli.ExitError},
		{nil, cli.ExitUsage}, {[]string{"bounce"}, cli.ExitUsage}, {[]string{"--bogus"}, cli.ExitUsage}, {[]string{"help", "me"}, cli.ExitUsage},
	} {
		var out, errs bytes.Buffer
		if got := run(t.Context(), tt.args, &out, &errs); got != tt.want {
			t.Errorf("%q: exit %d, want %d", tt.args, got, tt.want)
		}
		if ok := tt.want == cli.ExitOK; ok != (out.Len() > 0) || !ok && errs.Len() == 0 {
			t.Errorf("%q: stdout %q, stderr %q", tt.args, &out, &errs)
		}
	}
	var errs bytes.Buffer
	if got := run(t.Context(), []string{"help"}, full{}, &errs); got != cli.ExitError || !strings.Contains(errs.String(), "no space") {
		t.Errorf("full disk: exit %d, %q", got, &errs)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }
