package observe

import (
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// Who asks for a handler is told of its canary, but in what programs read.
func TestNamedHasTheCanary(t *testing.T) {
	all := []api.Handler{{Name: "a"}, {Name: "a.canary"}, {Name: "b"}, {Name: "b.canary"}}
	for _, tt := range []struct {
		names    []string
		canaries bool
		want     string
	}{
		{nil, false, "a a.canary b b.canary "},
		{[]string{"a"}, true, "a a.canary "},
		{[]string{"a.canary"}, true, "a.canary "},
		{[]string{"a"}, false, "a "},
	} {
		some, err := named(all, tt.names, tt.canaries)
		got := ""
		for _, h := range some {
			got += h.Name + " "
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.names, got, err, tt.want)
		}
	}
}
