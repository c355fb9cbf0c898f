//go:build systemd

package systemd

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

const (
	cellSocket = "plugserver-cell.socket"
	cellUnits  = "plugserver-cell@*.service"
	apartConf  = settings + ".d/apart.conf"
)

// units are the units of handlers that there are.
func (b *box) units(t *testing.T) (all []string) {
	t.Helper()
	for line := range strings.Lines(b.run(t, "systemctl", "list-units", "--all", "--plain", "--no-legend", cellUnits)) {
		all = append(all, strings.Fields(line)[0])
	}
	return all
}

// unitOf is the unit that a process is in.
func (b *box) unitOf(t *testing.T, pid int) string {
	t.Helper()
	group := strings.TrimPrefix(b.run(t, "grep", "^0::", fmt.Sprintf("/proc/%d/cgroup", pid)), "0::")
	for ; group != "/" && group != "."; group = path.Dir(group) {
		if strings.HasSuffix(group, ".service") {
			return path.Base(group)
		}
	}
	t.Fatalf("PID %d is in no service", pid)
	return ""
}

// inUnit reports whether a process is in a unit of a handler.
func (b *box) inUnit(pid int) bool {
	group, _ := b.try("cat", fmt.Sprintf("/proc/%d/cgroup", pid)) // it may be gone
	return strings.Contains(group, "plugserver-cell@")
}

// apart runs greet, whose second version serves, in units of its own, and nothing is left of them.
func apart(t *testing.T, b *box, greet []string, hostile string, main func(*testing.T) int) {
	b.run(t, "sh", "-c", "echo PLUGSERVER_CRASH_LIMIT=0 >>/etc/default/plugserverd")
	b.run(t, "systemctl", "restart", service)
	b.write(t, apartConf, "[Handler greet]\nIsolation=unit\n")
	b.fail(t, "systemctl", "reload", "plugserverd") // nobody starts units: what serves goes on
	if out := b.run(t, "plugserverctl", "status"); !strings.Contains(strings.Join(strings.Fields(out), " "), "systemctl enable --now plugserver-cell.socket") {
		t.Errorf("the status does not tell what is missing:\n%s", out)
	}
	b.want(t, "/greet", 200, "two")
	b.run(t, "systemctl", "enable", "--now", cellSocket)
	b.run(t, "systemctl", "reload", "plugserverd")
	if out := b.run(t, "systemd-analyze", "verify", "--man=no", cellSocket, "plugserver-cell@0.service"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	apartIs(t, b, main(t))
	apartBounded(t, b)
	apartReplaced(t, b, greet)
	apartKilled(t, b, main)
	apartHostile(t, b, hostile, main(t))
	apartEnded(t, b, main)

	b.run(t, "rm", apartConf)
	b.run(t, "systemctl", "reload", "plugserverd")
	b.want(t, "/greet", 200, "two")
	if in := b.unitOf(t, b.cell(t, "greet")); in != service {
		t.Errorf("without the setting it is in %s", in)
	}
	b.run(t, "sed", "-i", "/CRASH_LIMIT=0/d", "/etc/default/plugserverd")
	b.run(t, "systemctl", "restart", service) // and with it the spare
	b.noUnits(t)
	b.run(t, "systemctl", "disable", "--now", cellSocket)
	if _, err := b.try("test", "!", "-e", "/run/plugserver-cell.socket"); err != nil {
		t.Error("the socket is left")
	}
}

// noUnits waits until there is none.
func (b *box) noUnits(t *testing.T) {
	t.Helper()
	var left []string
	eventually(t, "no unit of a handler is left", func() bool { left = b.units(t); return len(left) == 0 })
}

// apartIs looks at the unit as its operator does.
func apartIs(t *testing.T, b *box, supervisor int) {
	cell := b.cell(t, "greet")
	unit := b.unitOf(t, cell)
	if !strings.HasPrefix(unit, "plugserver-cell@") {
		t.Fatalf("the handler is in %s", unit)
	}
	user := func(pid int) string { return b.run(t, "stat", "-c", "%u", fmt.Sprintf("/proc/%d", pid)) }
	if own := user(cell); own == user(supervisor) || own == "0" {
		t.Errorf("it runs as %s, the supervisor as %s", own, user(supervisor))
	}
	if text := b.property(t, unit, "StatusText"); text != "greet" {
		t.Errorf("the unit's status is %q", text)
	}
	if out := b.run(t, "systemctl", "status", unit); !strings.Contains(out, "plugserver-cell greet") {
		t.Errorf("systemctl status does not show the process:\n%s", out)
	}
	if h := b.handler(t, "greet"); h.PrivateBytes == 0 || h.Descriptors == 0 || h.Threads == 0 {
		t.Errorf("the status does not tell what it uses: %+v", h)
	}
	if pss, err := b.try("grep", "^Pss:", fmt.Sprintf("/proc/%d/smaps_rollup", b.mainPID(t, unit))); err == nil {
		t.Logf("who keeps it takes, with its part of what is shared, %s", strings.TrimSpace(pss))
	}
	b.want(t, "/greet/slow", 200, "two")
	b.run(t, "journalctl", "--sync")
	if log := b.run(t, "plugserverctl", "logs", "greet"); !strings.Contains(log, "slowly") {
		t.Errorf("what it printed is not in its log:\n%s", log)
	}
	score(t, b, unit, 1.1)
}

// apartBounded has the kernel bound the unit's process, or it is said why not.
func apartBounded(t *testing.T, b *box) {
	b.write(t, apartConf, "[Handler greet]\nIsolation=unit\nTasksMax=64\nCPUQuota=50%\nMemoryMax=64M\nSetCredential=token:x\n")
	b.run(t, "systemctl", "reload", "plugserverd")
	cell := b.cell(t, "greet")
	group := "/sys/fs/cgroup" + strings.TrimPrefix(b.run(t, "grep", "^0::", fmt.Sprintf("/proc/%d/cgroup", cell)), "0::")
	if !strings.HasPrefix(path.Base(group), "cell-") {
		t.Errorf("it has no control group of its own in its unit: %s", group)
	}
	shown := b.run(t, "plugserverctl", "show", "greet")
	for file, want := range map[string]string{"pids.max": "64", "cpu.max": "50000 100000", "memory.max": "67108864"} {
		if text, err := b.try("cat", group+"/"+file); err == nil && strings.TrimSpace(text) != want {
			t.Errorf("%s is %q, want %s", file, text, want)
		} else if err != nil && file != "memory.max" && !strings.Contains(shown, "not in force") {
			t.Errorf("there is no %s, and it is not said:\n%s", file, shown)
		}
	}
	was := b.handler(t, "greet").Restarts
	if s, _ := b.get("/greet/hog"); s == 200 {
		t.Error("256 MiB of 64 MiB were allowed")
	}
	eventually(t, "it is started again", func() bool { h := b.handler(t, "greet"); return h.Restarts > was && h.State == api.StateLive })
	b.run(t, "journalctl", "--sync")
	if log := b.run(t, "journalctl", "--no-pager", "-u", "plugserverd", "-n", "20"); !strings.Contains(log, "memory, its limit is 64 MiB") {
		t.Errorf("the log does not say why it ended:\n%s", log)
	}
	b.write(t, apartConf, "[Handler greet]\nIsolation=unit\n")
	b.run(t, "systemctl", "reload", "plugserverd")
}

// apartReplaced replaces it under load, and tells how long a drop takes.
func apartReplaced(t *testing.T, b *box, greet []string) {
	replace := func(i int) string {
		want := []string{"one", "two"}[i%2]
		b.run(t, "cp", greet[i%2], handlers+"/.new")
		b.run(t, "mv", handlers+"/.new", handlers+"/greet.so")
		eventually(t, want+" answers", func() bool { _, body := b.get("/greet"); return body == want })
		return want
	}
	c := b.load(t, "/greet", func() {
		for i := range 10 {
			replace(i)
			b.run(t, "systemctl", "reload", "plugserverd")
		}
	})
	if c.Refused > 0 || c.failed() > 0 {
		t.Errorf("ten replacements: %v", c)
	}

	since := b.run(t, "date", "+%s.%N")
	for i := range 10 {
		eventually(t, "one is started ahead in a unit", func() bool { return slices.ContainsFunc(b.status(t).Daemon.Spares, b.inUnit) })
		replace(i)
	}
	b.run(t, "journalctl", "--sync")
	var took []time.Duration
	for line := range strings.Lines(b.run(t, "journalctl", "--no-pager", "-o", "json", "-u", service, "-t", "plugserverd", "PLUGSERVER_HANDLER=greet", "--since", "@"+since)) {
		var e struct {
			Message string `json:"MESSAGE"`
			Took    string `json:"PLUGSERVER_FIELD_AFTER"`
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Message == "live: greet" {
			d, err := time.ParseDuration(e.Took)
			if err != nil {
				t.Errorf("%v in %s", err, line)
			}
			took = append(took, d)
		}
	}
	slices.Sort(took)
	if len(took) != 10 {
		t.Fatalf("%d are live", len(took))
	}
	t.Logf("drop to live, where one was started ahead: p50 %v, all %v", took[5], took)
	b.want(t, "/greet", 200, "two")
}

// apartKilled ends its process, who keeps it, and stops the latter.
func apartKilled(t *testing.T, b *box, main func(*testing.T) int) {
	again := func(what string, harm func(cell, keeper int)) {
		t.Helper()
		cell := b.cell(t, "greet")
		unit := b.unitOf(t, cell)
		keeper := b.mainPID(t, unit)
		if c := b.load(t, "/greet", func() {
			harm(cell, keeper)
			eventually(t, what+": another process serves", func() bool {
				h := b.handler(t, "greet")
				s, _ := b.get("/greet")
				return s == 200 && h.PID != 0 && h.PID != cell
			})
		}); c.Refused > 0 || c.failed() > clients {
			t.Errorf("%s: %v", what, c)
		}
		eventually(t, what+": its unit is gone", func() bool { return !slices.Contains(b.units(t), unit) })
		if _, err := b.try("test", "!", "-e", fmt.Sprintf("/proc/%d", cell)); err != nil {
			t.Errorf("%s: its process is left", what)
		}
	}
	again("SIGKILL of its process", func(cell, _ int) { b.kill(t, "KILL", cell) })
	again("SIGKILL of who keeps it", func(_, keeper int) { b.kill(t, "KILL", keeper) })
	again("systemctl stop", func(cell, _ int) { b.run(t, "systemctl", "stop", b.unitOf(t, cell)) })
	again("who keeps it is stopped", func(_, keeper int) { b.kill(t, "STOP", keeper) }) // the watchdog's
	const times = 5
	if c := b.load(t, "/greet", func() {
		for range times {
			pid, old := main(t), b.units(t)
			b.kill(t, "KILL", pid)
			eventually(t, "another supervisor serves", func() bool {
				s, body := b.get("/greet")
				now := b.property(t, service, "MainPID")
				return s == 200 && body == "two" && now != "0" && now != fmt.Sprint(pid)
			})
			eventually(t, "no unit of the supervisor's before is left", func() bool {
				return !slices.ContainsFunc(b.units(t), func(u string) bool { return slices.Contains(old, u) })
			})
		}
	}); c.Refused > 0 || c.failed() > times*clients {
		t.Errorf("deaths of the supervisor: %v", c)
	}
	if unit := b.unitOf(t, b.cell(t, "greet")); !strings.HasPrefix(unit, "plugserver-cell@") {
		t.Errorf("it is in %s", unit)
	}
}

// apartEnded ends the service in several ways: no unit outlives it.
func apartEnded(t *testing.T, b *box, main func(*testing.T) int) {
	old := b.units(t)
	if c := b.load(t, "/greet", func() {
		for range 3 {
			b.run(t, "systemctl", "restart", "plugserverd")
		}
	}); c.Refused > 0 || c.failed() > 0 {
		t.Errorf("restarts: %v", c)
	}
	eventually(t, "no unit of before is left", func() bool {
		return !slices.ContainsFunc(b.units(t), func(u string) bool { return slices.Contains(old, u) })
	})
	b.run(t, "systemctl", "stop", socket, service)
	b.noUnits(t)
	b.active(t, cellSocket, "active")
	b.run(t, "systemctl", "start", service)
	b.want(t, "/greet", 200, "two")
}
