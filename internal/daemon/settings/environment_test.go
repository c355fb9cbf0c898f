package settings

import (
	"slices"
	"strings"
	"testing"
)

func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		name  string
		text  string
		files map[string]string // beside it; DIR in the text is where
		pass  []string
		set   []string
		fault string
	}{
		{"nothing", "", nil, nil, nil, ""},
		{"one", "Environment=A=1", nil, nil, []string{"A=1"}, ""},
		{"several, quoted", `Environment=A=1 "B=two words" 'C=a "b" \c' D= E=x"y z"w F=\"\ \\`, nil, nil,
			[]string{"A=1", "B=two words", `C=a "b" \c`, "D=", "E=xy zw", `F=" \`}, ""},
		{"what looks like a comment is quoted", `Environment="A=x #1 ;2"`, nil, nil, []string{"A=x #1 ;2"}, ""},
		{"nothing is expanded", "Environment=A=$HOME%h", nil, nil, []string{"A=$HOME%h"}, ""},
		{"lines add up until an empty one", "Environment=A=1\nPassEnvironment=X\nEnvironment=\nEnvironment=B=1\nPassEnvironment=\nPassEnvironment=Y Z\nEnvironment=B=2", nil,
			[]string{"Y", "Z"}, []string{"B=1", "B=2"}, ""},
		{"a file holds over them", "EnvironmentFile=DIR/a.env\nEnvironment=A=1", map[string]string{
			"a.env": "# comment\n; another\n\n A = 2 \nB=\"x # y\"\nC='it is'\nD=a b\nE=1=2\n",
		}, nil, []string{"A=1", "A=2", "B=x # y", "C=it is", "D=a b", "E=1=2"}, ""},
		{"one that may be missing", "EnvironmentFile=-DIR/none.env", nil, nil, nil, ""},

		{"no assignment", "Environment=TOKEN", nil, nil, nil, `F:2: Environment=: not an assignment; write NAME=VALUE, or "NAME=VALUE WITH SPACE"`},
		{"no name", "Environment=A=1 1B=hunter2", nil, nil, nil, `F:2: Environment=: not an assignment`},
		{"an open quote", `Environment="A=hunter2`, nil, nil, nil, "F:2: Environment=: a quote, or what a backslash begins, does not end; close it"},
		{"names have no values", "PassEnvironment=A=1", nil, nil, nil, `F:2: PassEnvironment="A=1": has a value; write names alone, or use Environment=`},
		{"no variable's name", "PassEnvironment=a-b", nil, nil, nil, `F:2: PassEnvironment="a-b": not the name of a variable; write letters, digits and '_', with no digit first`},
		{"no such file", "EnvironmentFile=DIR/none.env", nil, nil, nil, `F:2: EnvironmentFile="DIR/none.env": there is no such file; make it, or write '-'`},
		{"a relative path", "EnvironmentFile=-none.env", nil, nil, nil, `F:2: EnvironmentFile="-none.env": not an absolute path; write one such as`},
		{"a file that says something else", "EnvironmentFile=DIR/a.env", map[string]string{"a.env": "A=1\nexport B=hunter2\n"}, nil, nil, `line 2 is no assignment; write NAME=VALUE`},
		{"a file with an open quote", "EnvironmentFile=DIR/a.env", map[string]string{"a.env": "A='hunter2\n"}, nil, nil, `line 1: a quote, or what a backslash begins, does not end`},
		{"another case", "environment=A=1", nil, nil, nil, `F:2: unknown key "environment"; write Environment=`},
	} {
		files := map[string]string{"plugserverd.conf": ""}
		for name, text := range tt.files {
			files[name] = text
		}
		path := layout(t, files)
		dir := strings.TrimSuffix(path, "/plugserverd.conf")
		write(t, path, "[Handler a]\n"+strings.ReplaceAll(tt.text, "DIR", dir))
		if s := try(t, tt.name, path, tt.fault); s != nil {
			e := s.Handler("a").Environment
			if !slices.Equal(e.Pass(), tt.pass) || !slices.Equal(e.Set(), tt.set) {
				t.Errorf("%s: passes %q, sets %q; want %q, %q", tt.name, e.Pass(), e.Set(), tt.pass, tt.set)
			}
		}
	}
}

// What holds is known with where it stands.
func TestAssigned(t *testing.T) {
	path := layout(t, map[string]string{
		"plugserverd.conf": "[Handler a]\nMemoryMax=64M\nEnvironment=A=1\nCell=x\n[Handler b]\nCell=y\n[Handler a]\nCell=\nEnvironment=B=2\n",
		dropIn + "a.conf":  "[Handler a]\nMemoryMax=128M\n",
	})
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Assignment{
		{"Environment", "A=1", path + ":3"}, {"Environment", "B=2", path + ":9"}, {"MemoryMax", "128M", path + ".d/a.conf:2"},
	}
	if got := s.Assigned("a"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := s.Disabled("a"); got != "" {
		t.Errorf("disabled in %s", got)
	}
	write(t, path, "[Handler a]\nDisabled=no\n[Handler a]\nDisabled=yes\n")
	if s, err := Load(path); err != nil || s.Disabled("a") != path+":4" || s.Disabled("b") != "" {
		t.Errorf("%v, disabled in %s", err, s.Disabled("a"))
	}
	if got := s.Assigned("none"); len(got) != 0 {
		t.Error(got)
	}
}
