package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestGather(t *testing.T) {
	// A member is its name and its version; "!" says that it agrees with nobody.
	parse := func(text string) (all []Member) {
		for _, f := range strings.Fields(text) {
			all = append(all, Member{Name: f[:1], Version: f[1:]})
		}
		return all
	}
	seating := func(text string) string { return Seating(parse(text)) }
	for _, tt := range []struct {
		name    string
		g       Group
		members string
		want    string
		apart   string // names
	}{
		{"the first time", Group{}, "a1 b1", "start ab", ""},
		{"as it is", Group{Serves: seating("a1 b1")}, "a1 b1", "", ""},
		{"a new version", Group{Serves: seating("a1 b1")}, "a1 b2", "start ab", ""},
		{"one more", Group{Serves: seating("a1 b1")}, "a1 b1 c1", "start abc", ""},
		{"one less", Group{Serves: seating("a1 b1 c1")}, "a1 b1", "start ab", ""},
		{"it starts", Group{Starts: seating("a1 b1")}, "a1 b1", "", ""},
		{"what starts is out of date", Group{Starts: seating("a1 b1")}, "a1 b2", "drop, start ab", ""},
		{"what starts is for one who left", Group{Starts: seating("a1 b1")}, "a1", "drop", ""},
		{"it failed", Group{Failed: seating("a1 b1")}, "a1 b1", "", ""},
		{"it failed, and one is new", Group{Failed: seating("a1 b1")}, "a2 b1", "start ab", ""},
		{"what serves is to be kept while the next failed", Group{Serves: seating("a1 b1"), Failed: seating("a1 b2")}, "a1 b2", "", ""},
		{"one alone", Group{}, "a1", "", ""},
		{"the last in a shared one", Group{Serves: seating("a1 b1")}, "a1*", "part", ""},
		{"one that does not agree", Group{}, "a1 b! c1", "start ac", "b"},
		{"none agrees", Group{}, "a! b! c!", "", "bc"},
		{"it rests", Group{Rests: true}, "a1 b1 c!", "", "abc"},
	} {
		all := parse(tt.members)
		for i := range all {
			all[i].Version, all[i].Shares = strings.CutSuffix(all[i].Version, "*")
		}
		to := Gather(tt.g, all, func(i, j int) error {
			if all[i].Version == "!" || all[j].Version == "!" {
				return errors.New("no")
			}
			return nil
		})
		var got []string
		if to.Drop {
			got = append(got, "drop")
		}
		if to.Part {
			got = append(got, "part")
		}
		if to.Start {
			text := "start "
			for _, i := range to.Members {
				text += all[i].Name
			}
			got = append(got, text)
		}
		apart := ""
		for _, m := range all {
			if to.Apart[m.Name] != "" {
				apart += m.Name
			}
		}
		if g := strings.Join(got, ", "); g != tt.want || apart != tt.apart {
			t.Errorf("%s: %q, apart %q", tt.name, g, to.Apart)
		}
	}
	one, other := []Member{{Name: "a", Version: "1", Limits: "x"}}, []Member{{Name: "a", Version: "1", Limits: "y"}}
	if Seating(one) == Seating(other) || Seating(nil) != "" {
		t.Error("limits are a part of the seating")
	}
}

func TestAdmit(t *testing.T) {
	same := Arrival{Name: "a", Same: true, Serves: []string{"/a"}, Offers: []string{"/a"}}
	changed, differs := same, same
	changed.Same = false
	differs.Name, differs.Offers = "b", []string{"/b"}
	for _, tt := range []struct {
		name    string
		all     []Arrival
		ok      bool
		differs string
	}{
		{"all as they are", []Arrival{same, same}, true, ""},
		{"one has changed meanwhile", []Arrival{same, changed}, false, ""},
		{"one has other patterns", []Arrival{same, differs}, false, "b"},
		{"one has changed, and the next has other patterns", []Arrival{changed, differs}, false, ""},
	} {
		if ok, who := Admit(tt.all); ok != tt.ok || who != tt.differs {
			t.Errorf("%s: %v, %q", tt.name, ok, who)
		}
	}
}

func TestRest(t *testing.T) {
	var got []string
	for deaths := range 8 {
		got = append(got, fmt.Sprint(RestMinutes(deaths)))
	}
	if want := []string{"1", "2", "4", "8", "16", "32", "60", "60"}; !slices.Equal(got, want) || RestMinutes(1000) != 60 {
		t.Errorf("minutes %v", got)
	}
}
