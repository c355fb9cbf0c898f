package plan

import (
	"fmt"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestPassOn(t *testing.T) {
	leaves := func(name string, has ...string) Stake { return Stake{Name: name, Has: has, Leaves: true} }
	stays := func(name string, has ...string) Stake { return Stake{Name: name, Has: has} }
	heir := func(name string, wants ...string) Stake { return Stake{Name: name, Wants: wants} }
	changes := func(name, has, wants string) Stake {
		return Stake{Name: name, Has: strings.Fields(has), Wants: strings.Fields(wants)}
	}
	for _, c := range []struct {
		name    string
		stakes  []Stake
		granted string
		denied  string // "name: reason" each
	}{
		{"who leaves has heirs", []Stake{leaves("a", "/v"), heir("b", "/v")}, "b", ""},
		{"the first of two", []Stake{leaves("a", "/v"), heir("c", "/v"), heir("b", "/v")}, "c", `b: pattern "/v" is taken by handler "c"`},
		{"each a part", []Stake{heir("b", "/v"), heir("c", "/w"), leaves("a", "/v", "/w")}, "b c", ""},
		{"of two who leave", []Stake{leaves("a", "/v"), leaves("b", "/w"), heir("c", "/v", "/w")}, "c", ""},
		{"what somebody keeps", []Stake{leaves("a", "/v"), stays("b", "/w"), heir("c", "/v", "/w")}, "", `c: pattern "/w" is taken by handler "b"`},
		{"what a replacement gives up", []Stake{changes("a", "/v /w", "/v"), heir("b", "/w")}, "a b", ""},
		{"what a replacement keeps", []Stake{changes("a", "/v /w", "/v"), heir("b", "/v")}, "a", `b: pattern "/v" is taken by handler "a"`},
		{"two change places", []Stake{changes("a", "/v", "/w"), changes("b", "/w", "/v")}, "a b", ""},
		{"who is denied keeps what it has", []Stake{changes("a", "/v", "/w"), changes("b", "/w", "/x"), stays("c", "/x")}, "",
			`a: pattern "/w" is taken by handler "b"; b: pattern "/x" is taken by handler "c"`},
		{"conflicting, not the same", []Stake{stays("a", "/v/{x}"), heir("b", "/v/{y}")}, "", `b: pattern "/v/{y}" conflicts with "/v/{x}" of handler "a"`},
	} {
		granted, denied := PassOn(routes.Std, c.stakes)
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(denied)) {
			texts = append(texts, fmt.Sprintf("%s: %s", name, denied[name].Reason))
		}
		if g, d := strings.Join(granted, " "), strings.Join(texts, "; "); g != c.granted || d != c.denied {
			t.Errorf("%s: granted %q, denied %q; want %q, %q", c.name, g, d, c.granted, c.denied)
		}
	}
}
