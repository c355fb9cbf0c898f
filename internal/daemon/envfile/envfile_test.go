package envfile

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		line  string
		want  []string
		fault string
	}{
		{"", nil, ""},
		{`A=1  "B=x y"	C='q "z"' D=\"`, []string{"A=1", "B=x y", `C=q "z"`, `D="`}, ""},
		{`""=x`, nil, "not an assignment"},
		{`A=1 B`, nil, "not an assignment"},
		{`A='hunter2`, nil, "does not end"},
		{`A=hunter2\`, nil, "does not end"},
	} {
		got, err := Words(tt.line)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.fault == "") || err != nil && (!strings.Contains(err.Error(), tt.fault) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %q, %v; want %q, %q", tt.line, got, err, tt.want, tt.fault)
		}
	}
}

// Whatever the text, what is read are assignments, of one line each.
func FuzzLines(f *testing.F) {
	f.Add("A=1\n# x\nB = \"x y\"\n")
	f.Add("export A=1")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Lines(text)
		for _, kv := range all {
			if name, v, ok := strings.Cut(kv, "="); !ok || !Name(name) || strings.ContainsAny(v, "\n\x00") {
				t.Errorf("%q", kv)
			}
		}
		if err != nil && all != nil {
			t.Error("half of it")
		}
	})
}
