package plan

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestUnderWay(t *testing.T) {
	leaves := Candidate{Stake: Stake{Name: "a", Has: []string{"/a"}, Leaves: true}, File: File{1, 7}}
	with := func(change func(*Candidate)) Candidate {
		c := Candidate{Stake: Stake{Name: "b"}, File: File{1, 8}}
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		b    Candidate
		want bool
	}{
		{"nobody else", with(func(c *Candidate) {}), false},
		{"one that is being tried", with(func(c *Candidate) { c.Trying = Tries }), true},
		{"one that is being built", with(func(c *Candidate) { c.Trying = Builds }), false},
		{"the file that left, being built", with(func(c *Candidate) { c.Trying, c.File = Builds, leaves.File }), true},
		{"one whose file is missed", with(func(c *Candidate) { c.Missed, c.Leaves, c.Has = true, true, []string{"/b"} }), true},
		{"one that is missed and has nothing", with(func(c *Candidate) { c.Missed, c.Leaves = true, true }), false},
	} {
		all := []Candidate{leaves, tt.b}
		if got := UnderWay(all); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if got, want := BeingBuilt(leaves.File, all), tt.b.Trying == Builds && tt.b.File == leaves.File; got != want {
			t.Errorf("%s: being built %v", tt.name, got)
		}
	}
}

func TestRank(t *testing.T) {
	c := func(name string, ino uint64, seq, wanting int64) Candidate {
		return Candidate{Stake: Stake{Name: name}, File: File{1, ino}, Seq: seq, Wanting: wanting}
	}
	leaving := c("leaving", 9, 1, 0)
	leaving.Has, leaving.Leaves = []string{"/v"}, true
	want := []Candidate{
		c("renamed", 9, 0, 50), leaving, // the same file, and the one that leaves does not claim
		c("senior", 2, 3, 90), c("junior", 3, 4, 10),
		c("longest", 4, 0, 20), c("b", 6, 0, 30), c("c", 7, 0, 30),
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		all := append([]Candidate(nil), want...)
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		Rank(all)
		var got, names []string
		for i := range all {
			got, names = append(got, all[i].Name), append(names, want[i].Name)
		}
		if g, w := strings.Join(got, " "), strings.Join(names, " "); g != w {
			t.Fatalf("got %s, want %s", g, w)
		}
	}
}
