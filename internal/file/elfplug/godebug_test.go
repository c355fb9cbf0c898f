package elfplug

import "testing"

func TestGODEBUG(t *testing.T) {
	with := func(defaults string) *Info { return &Info{Settings: map[string]string{defaultGODEBUG: defaults}} }
	for _, c := range []struct {
		name, plugin, cell, own string
		want                    string
	}{
		{"none", "", "", "", ""},
		{"the plugin's", "panicnil=1,urlstrictcolons=0", "", "", "panicnil=1,urlstrictcolons=0"},
		{"the environment's stands", "panicnil=1", "", "panicnil=0,x=2", "panicnil=1,panicnil=0,x=2"},
		{"the environment's alone", "", "", "x=2", "x=2"},
		{"what only the cell has is taken back", "panicnil=1", "panicnil=0,urlstrictcolons=0", "", "urlstrictcolons=,panicnil=1"},
		{"routing is the server's", "httpmuxgo121=1,panicnil=1", "", "", "panicnil=1"},
	} {
		if got := GODEBUG(with(c.plugin), with(c.cell), c.own); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, s := range []string{"a=b\x00", "a=b c", "a=\xff"} {
		if fit(s) {
			t.Errorf("%q is taken for fit", s)
		}
	}
}
