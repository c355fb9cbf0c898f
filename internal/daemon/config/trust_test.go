package config

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

// Connections stay with the gate from the start where any two handlers may not trust each other, and
// where nobody knows; it is too late for that once they have left.
func TestLend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(path, []byte("[Handler a]\nTrust=g\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	groups, err := settings.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	none := &settings.Settings{}
	for _, tt := range []struct {
		args    []string
		file    *settings.Settings
		misread error
		lends   bool
	}{
		{nil, none, nil, false},
		{[]string{"--trust=one"}, none, nil, false},
		{[]string{"--trust=each"}, none, nil, true},
		{nil, groups, nil, true},
		{nil, none, errors.New("misread"), true},
	} {
		c, err := Parse(tt.args, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		c.Lend(tt.file, tt.misread)
		if c.Limits.Lends != tt.lends {
			t.Errorf("%v, %v: %v", tt.args, tt.misread, c.Limits.Lends)
		}
		if err := c.Lending(groups); (err == nil) != tt.lends {
			t.Errorf("%v: a reload with groups: %v", tt.args, err)
		}
		if err := c.Lending(none); err != nil {
			t.Errorf("%v: a reload without: %v", tt.args, err)
		}
	}
	if _, err := Parse([]string{"--trust=two"}, nil, io.Discard); err == nil {
		t.Error("--trust=two is taken")
	}
}
