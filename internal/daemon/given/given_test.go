package given

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/belongings"
)

// assigned is what assignments give, one a line.
func assigned(text string, files map[string]string) (g Given, err error) {
	all := g.Keys(func(file string) (string, bool, error) {
		if file == "/unreadable" {
			return "", true, errors.New("no")
		}
		content, there := files[file]
		return content, there, nil
	})
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if err := all[key](value); err != nil {
			return g, err
		}
	}
	_, err = g.Lacks()
	return g, err
}

func TestGiven(t *testing.T) {
	files := map[string]string{"/a": "in a\n\xff\x00", "service": "its own"}
	for _, tt := range []struct {
		name, text string
		want       belongings.Belongings
	}{
		{"nothing", "", belongings.Belongings{}},
		{"all", "LoadCredential=x:/a\nLoadCredential=service\nLoadCredential=y:service\nSetCredential=z:a b:\\n\\x00\\\\\nStateDirectory=one two\nStateDirectory=one\nWorkingDirectory=/w/", belongings.Belongings{
			Credentials: []belongings.Credential{{Name: "service", Content: "its own"}, {Name: "x", Content: "in a\n\xff\x00"}, {Name: "y", Content: "its own"}, {Name: "z", Content: "a b:\n\x00\\"}},
			State:       []string{"/s/one", "/s/two"}, Dir: "/w",
		}},
		{"an empty one forgets", "LoadCredential=x:/a\nSetCredential=z:1\nStateDirectory=one\nWorkingDirectory=/w\nLoadCredential=\nSetCredential=\nStateDirectory=\nWorkingDirectory=", belongings.Belongings{}},
		{"a file comes before what is set", "LoadCredential=x:/a\nSetCredential=x:1", belongings.Belongings{Credentials: []belongings.Credential{{Name: "x", Content: files["/a"]}}}},
		{"which is for one that is not there", "LoadCredential=x:/none\nSetCredential=x:1\nSetCredential=x:é2", belongings.Belongings{Credentials: []belongings.Credential{{Name: "x", Content: "é2"}}}},
		{"which may be empty", "SetCredential=x:", belongings.Belongings{Credentials: []belongings.Credential{{Name: "x"}}}},
		{"one that need not be there", "WorkingDirectory=-/w", belongings.Belongings{Dir: "-/w"}},
	} {
		g, err := assigned(tt.text, files)
		if got := g.Belongings("/s"); err != nil || !got.Equal(tt.want) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		if again, _ := assigned(tt.text, files); again != g {
			t.Errorf("%s: the same is not equal", tt.name)
		}
		other := map[string]string{"/a": "another", "service": "others"}
		if changed, _ := assigned(tt.text, other); strings.Contains(tt.text, "x:/a") && !strings.Contains(tt.text, "=\n") && changed == g {
			t.Errorf("%s: another content is equal", tt.name)
		}
	}
}

func TestNotGiven(t *testing.T) {
	for text, want := range map[string]string{
		"LoadCredential=x:/none":                   "there is no such file; make it, or write SetCredential=x:VALUE",
		"LoadCredential=x:none":                    `the service has no credential "none"; write LoadCredential=none:/PATH into its unit`,
		"LoadCredential=x:/unreadable":             "no",
		"LoadCredential=../x:/a":                   "cannot name a credential",
		"LoadCredential=x:a/b":                     "names no file; write NAME:/PATH",
		"LoadCredential=/etc/token":                "cannot name a credential",
		"SetCredential=hunter2":                    "not a credential; write NAME:VALUE",
		"SetCredential=.x:hunter2":                 "not a credential",
		"SetCredential=x:hunter2\\q":               "has a backslash that begins nothing",
		"SetCredential=x:hunter2\\":                "has a backslash that begins nothing",
		"StateDirectory=/var/lib/x":                "without '/'",
		"StateDirectory=a ..":                      "without '/'",
		"StateDirectory=a:b":                       "cannot name a folder",
		"WorkingDirectory=srv":                     "not an absolute path",
		"WorkingDirectory=~":                       "not an absolute path",
		"LoadCredential=x:/big":                    "the credentials of a handler may have 1 MiB together",
		"SetCredential=y:1\nLoadCredential=x:/big": "may have 1 MiB together",
	} {
		_, err := assigned(text, map[string]string{"/big": strings.Repeat("x", maxCredentials+1)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// What is set is in no listing.
func TestShown(t *testing.T) {
	for _, tt := range [][3]string{
		{"SetCredential", "x:hunter2:3", "x:(hidden)"}, {"LoadCredential", "x:/a", "x:/a"}, {"StateDirectory", "a:b", "a:b"},
	} {
		if got := Shown(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s=%s is shown as %q", tt[0], tt[1], got)
		}
	}
	if !slices.Contains(Repeated, "LoadCredential") {
		t.Error("one of several holds")
	}
}
