package allowed

import (
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"golang.org/x/sys/unix"
)

// What lines come to, on top of what every handler may.
func TestKeys(t *testing.T) {
	base := sandbox.Rules{Hide: []string{"/state"}, Read: []string{"-/handlers"}, Private: "/state/tmp"}
	for _, tt := range []struct {
		name  string
		lines string // KEY=VALUE, one below the other
		want  func(*sandbox.Rules)
		fault string
	}{
		{name: "nothing", want: func(*sandbox.Rules) {}},
		{name: "paths add up", lines: "ReadWritePaths=/a '/b c'\nReadWritePaths=-/d/\nReadOnlyPaths=/e", want: func(r *sandbox.Rules) {
			r.Write, r.Read = []string{"/a", "/b c", "-/d"}, append(r.Read, "/e")
		}},
		{name: "until an empty one", lines: "ReadWritePaths=/a\nReadWritePaths=\nNoSandbox=yes\nNoSandbox=", want: func(*sandbox.Rules) {}},
		{name: "none", lines: "NoSandbox=yes", want: func(r *sandbox.Rules) { r.Open = true }},
		{name: "families", lines: "RestrictAddressFamilies=AF_INET AF_UNIX", want: func(r *sandbox.Rules) { r.Families = []int{unix.AF_INET, unix.AF_UNIX} }},
		{name: "no family", lines: "RestrictAddressFamilies=none", want: func(r *sandbox.Rules) { r.Families = []int{} }},
		{name: "no network", lines: "PrivateNetwork=yes", want: func(r *sandbox.Rules) { r.Families = []int{unix.AF_UNIX} }},
		{name: "nor what is left of it", lines: "PrivateNetwork=yes\nRestrictAddressFamilies=AF_INET", want: func(r *sandbox.Rules) { r.Families = []int{} }},

		{name: "a relative path", lines: "ReadWritePaths=/a data", fault: `"data" is not an absolute path; write one such as /srv/users`},
		{name: "an open quote", lines: `ReadOnlyPaths="/a`, fault: "a quote"},
		{name: "a family that is not", lines: "RestrictAddressFamilies=AF_APPLE", fault: `"AF_APPLE" is not known; possible are none, and of AF_UNIX`},
		{name: "what is not allowed", lines: "RestrictAddressFamilies=~AF_UNIX", fault: "list what is, without '~'"},
		{name: "no boolean", lines: "NoSandbox=maybe", fault: "invalid syntax"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var a Allowed
			keys, fault := a.Keys(func(s string) (bool, error) {
				if s == "yes" {
					return true, nil
				}
				return strconv.ParseBool(s)
			}), ""
			for line := range strings.Lines(tt.lines) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				if err := keys[key](value); err != nil {
					fault += err.Error()
				}
			}
			if tt.fault != "" || fault != "" {
				if tt.fault == "" || !strings.Contains(fault, tt.fault) {
					t.Errorf("fault %q, want %q", fault, tt.fault)
				}
				return
			}
			got, want := base, base
			a.Apply(&got)
			if tt.want(&want); !got.Equal(&want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if len(base.Read) != 1 || !reflect.DeepEqual(base.Write, []string(nil)) {
				t.Error("the rules of all have changed")
			}
		})
	}
}
