package sd

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/event"
)

const catalog = "../../../packaging/systemd/plugserver.catalog"

// TestCatalog: every event has an entry, every entry an event, and an entry's
// fields are those that records have.
func TestCatalog(t *testing.T) {
	b, err := os.ReadFile(catalog)
	if err != nil {
		t.Fatal(err)
	}
	events := map[string]string{} // by ID
	for _, e := range event.All() {
		event, id := string(e), e.MessageID()
		if !regexp.MustCompile(`\A[0-9a-f]{32}\z`).MatchString(id) {
			t.Errorf("event %q has the ID %q", event, id)
		}
		if other, taken := events[id]; taken {
			t.Errorf("events %q and %q share an ID", event, other)
		}
		events[id] = event
	}
	parts := regexp.MustCompile(`(?m)^# (\w+)\n-- (.*)$`).FindAllStringSubmatchIndex(string(b), -1)
	if n := strings.Count(string(b), "\n-- "); n != len(parts) {
		t.Errorf("%d of %d entries are named in a comment", len(parts), n)
	}
	fields := slices.Collect(maps.Values(own))
	seen := map[string]bool{}
	for i, p := range parts {
		name, id := string(b[p[2]:p[3]]), string(b[p[4]:p[5]])
		end := len(b)
		if i+1 < len(parts) {
			end = parts[i+1][0]
		}
		if events[id] != name || seen[id] {
			t.Errorf("entry %s has the ID %s, which is event %q's (seen: %t)", name, id, events[id], seen[id])
		}
		seen[id] = true
		head, body, _ := strings.Cut(strings.TrimSpace(string(b[p[1]:end])), "\n\n")
		for _, h := range []string{"Subject: ", "Defined-By: plugserver", "Support: https://"} {
			if !strings.Contains("\n"+head, "\n"+h) {
				t.Errorf("entry %s has no %q", name, h)
			}
		}
		if body == "" {
			t.Errorf("entry %s explains nothing", name)
		}
		for _, f := range regexp.MustCompile(`@(\w+)@`).FindAllStringSubmatch(head+body, -1) {
			if !slices.Contains(fields, f[1]) {
				t.Errorf("entry %s speaks of the field %s, which no record has", name, f[1])
			}
		}
	}
	for _, e := range event.All() {
		event, id := string(e), e.MessageID()
		if !seen[id] {
			t.Errorf("event %q (%s) has no entry", event, id)
		}
	}
}
