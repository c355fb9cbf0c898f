//go:build systemd

package systemd

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// watched has Debian's Prometheus scrape the packaged admin socket, with the package's example, and the
// packaged rotation move the access log away: what both have is what clients have sent, over new
// versions, and over the SIGKILL of a cell.
func watched(t *testing.T, b *box, greet []string) {
	const (
		unit = "plugserverd-admin.socket"
		logs = "/var/log/plugserver/access.log"
	)
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("there is no Prometheus: make deps")
	}
	host(t, "cp", prometheus, filepath.Join(b.root, "usr/local/bin/prometheus"))
	b.run(t, "cp", "/etc/default/plugserverd", "/root/default")
	b.run(t, "sh", "-c", "printf 'PLUGSERVER_ACCESS_LOG="+logs+"\nPLUGSERVER_ACCESS_LOG_FORMAT=json\n' >>/etc/default/plugserverd")
	b.run(t, "systemctl", "stop", socket, service)
	b.run(t, "systemctl", "enable", "--now", unit, socket)
	b.run(t, "systemctl", "start", service)
	b.run(t, "sh", "-c", "{ echo 'global: {scrape_interval: 1s}'; cat /usr/share/doc/plugserver/examples/prometheus/prometheus.yml; } >/root/prometheus.yml")
	b.run(t, "systemd-run", "--unit=prometheus", "prometheus", "--config.file=/root/prometheus.yml", "--storage.tsdb.path=/root/prometheus",
		"--web.listen-address=127.0.0.1:9090")
	query := func(expr string) string {
		out, err := b.try("curl", "--silent", "--get", "--data-urlencode", "query="+expr, "http://127.0.0.1:9090/api/v1/query")
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if err != nil || json.Unmarshal([]byte(out), &answer) != nil || len(answer.Data.Result) != 1 {
			return ""
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	eventually(t, "Prometheus has scraped", func() bool { return query(`plugserver_handlers{state="live"}`) == "1" })
	if page := b.run(t, "curl", "--silent", "--fail", "http://127.0.0.1:9464/"); !strings.Contains(page, `data-name="greet"`) {
		t.Errorf("the page has no greet:\n%s", page)
	}

	sent := 0
	load := func(during func()) {
		c := b.load(t, "/greet", during)
		if sent += c.Sent; c.OK != c.Sent {
			t.Errorf("%v", c)
		}
	}
	load(func() {
		for i := range 4 {
			b.run(t, "cp", greet[(i+1)%2], handlers+"/.new")
			b.run(t, "mv", handlers+"/.new", handlers+"/greet.so")
			b.run(t, "logrotate", "--force", "/etc/logrotate.d/plugserver") // which reloads
		}
	})
	pid := b.cell(t, "greet")
	b.kill(t, "KILL", pid)
	eventually(t, "the cell is started again", func() bool { h := b.handler(t, "greet"); return h.State == api.StateLive && h.PID != pid })
	load(func() {})

	eventually(t, fmt.Sprintf("%d lines of the access log", sent), func() bool {
		return b.run(t, "sh", "-c", `zcat -f `+logs+`* | grep -c '"handler":"greet"' || true`) == fmt.Sprint(sent)
	})
	const sum = `sum(plugserver_requests_total{handler="greet",code="2xx",method="GET"})`
	eventually(t, fmt.Sprintf("Prometheus has %d requests", sent), func() bool { return query(sum) == fmt.Sprint(sent) })
	for expr, want := range map[string]string{
		`sum(plugserver_requests_total)`:                                   fmt.Sprint(sent),
		`plugserver_access_log_lines_lost_total`:                           "0",
		`plugserver_events_total{event="crashed"}`:                         "1",
		`sum(http_server_request_duration_seconds_count{handler="greet"})`: fmt.Sprint(sent),
	} {
		if got := query(expr); got != want {
			t.Errorf("%s is %s, want %s", expr, got, want)
		}
	}
	if rules := b.run(t, "curl", "--silent", "http://127.0.0.1:9090/api/v1/rules"); !strings.Contains(rules, "PlugserverHandlerCrashes") || strings.Contains(rules, `"health":"err"`) {
		t.Errorf("the alerts are not there, or fail:\n%s", rules)
	}
	b.run(t, "systemctl", "stop", "prometheus", unit)
	b.run(t, "systemctl", "disable", unit)
	b.run(t, "cp", "/root/default", "/etc/default/plugserverd")
	b.run(t, "cp", greet[0], handlers+"/greet.so")
	b.run(t, "systemctl", "restart", service)
}
