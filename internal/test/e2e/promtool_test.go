package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// watching is what the package has for those who watch over the service.
const watching = "../../../packaging/prometheus/"

// promtool fails the test unless it exits 0.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Prometheus finds nothing wrong with what it is told, nor with the alerts, which fire when they
// should and not else.
func TestPromtool(t *testing.T) {
	testbed.Need(t, "there is no promtool: apt-get install prometheus", "promtool")
	d := testbed.Start(t, testbed.Flags("--admin-listen", "127.0.0.1:0"))
	admin := d.Admin()
	d.Put("users", plain(t, "/users", number(0)))
	d.Want("/users", 200, number(0))
	d.Want("/nowhere", 404, "404 page not found\n")
	promtool(t, scrape(t, admin, "/metrics"), "check", "metrics")
	promtool(t, "", "check", "rules", watching+"plugserver.rules.yml")
	promtool(t, "", "test", "rules", watching+"plugserver.rules.test.yml")
}

// Each query of the dashboard is one, and each metric of it and of the alerts is one of ours.
func TestDashboard(t *testing.T) {
	testbed.Need(t, "there is no promtool: apt-get install prometheus", "promtool")
	text, err := os.ReadFile(watching + "grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	rules := "groups:\n- name: dashboard\n  rules:\n"
	n := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$job", "plugserver", "$handler", ".*").Replace(target.Expr)
			n++
			rules += fmt.Sprintf("  - record: panel_%d\n    expr: %q\n", n, expr)
		}
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)

	page, err := os.ReadFile("../../../packaging/deb/man/plugserverd.8") // a test of metrics' holds it to what there is
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := os.ReadFile(watching + "plugserver.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	used := regexp.MustCompile(`\b(plugserver|http_server)_\w+`).FindAllString(rules+string(alerts), -1)
	for _, name := range used {
		plain := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !strings.Contains(string(page), ".Li "+plain+"\n") && !strings.Contains(string(page), ".Li "+plain+" ") {
			t.Errorf("there is no metric %s", name)
		}
	}
	if n < 20 || len(used) < 30 {
		t.Errorf("%d queries, %d metrics", n, len(used))
	}
}
