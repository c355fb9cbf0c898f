package settings

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// plugserverd.conf(5) tells of every key of every section, and of no other.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../../packaging/deb/man/plugserverd.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	var told, keys []string
	for _, item := range regexp.MustCompile(`(?m)^\.It Cm [A-Za-z]+=.*$`).FindAll(page, -1) {
		for _, m := range regexp.MustCompile(`\b([A-Z][A-Za-z]+)=`).FindAllSubmatch(item, -1) {
			told = append(told, string(m[1]))
		}
	}
	s := blank()
	for _, header := range []string{"Handler x", "TLS", "Redirect", "Toolchains", "Trust"} {
		section, err := s.section(header)
		if err != nil {
			t.Fatal(err)
		}
		keys = slices.AppendSeq(keys, maps.Keys(section))
	}
	slices.Sort(told)
	slices.Sort(keys)
	if !slices.Equal(told, keys) {
		t.Errorf("plugserverd.conf(5) tells of\n%q, the keys are\n%q", told, keys)
	}
}
