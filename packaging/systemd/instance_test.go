//go:build systemd

package systemd

import (
	"strings"
	"testing"
)

// instances runs a second instance beside the first: a port, folders, settings, a
// sandbox and a user of its own. It leaves one running, which the package's upgrade
// is to restart, and another that has never served.
func instances(t *testing.T, b *box, greet []string) {
	const unit = "plugserverd@shop"
	b.run(t, "mkdir", "-p", "/etc/systemd/system/"+unit+".socket.d")
	b.write(t, "/etc/systemd/system/"+unit+".socket.d/port.conf", "[Socket]\nListenStream=8081\n")
	b.write(t, "/etc/plugserver/plugserverd@shop.conf", "[Handler greet]\nEnvironment=OF=shop\n")
	b.write(t, "/etc/default/plugserverd@shop", "PLUGSERVER_HOLD=3s\n")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "enable", "--now", unit+".socket", unit+".service")
	if out := b.run(t, "systemd-analyze", "verify", "--man=no", unit+".socket", unit+".service"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	b.run(t, "cp", greet[0], "/var/lib/plugserver@shop/handlers/greet.so")
	b.run(t, "systemctl", "reload", unit)
	ask := func(args ...string) string {
		t.Helper()
		return b.run(t, append([]string{"curl", "--silent", "--max-time", "20"}, args...)...)
	}
	for _, args := range [][]string{{"http://127.0.0.1:8081/greet"}, {"--unix-socket", "/run/plugserverd@shop.socket", "http://shop/greet"}} {
		if body := ask(args...); body != "one" {
			t.Errorf("%q answers %q, want one", args, body)
		}
	}
	b.want(t, "/greet", 404, "") // the first has no handler yet
	ctl := []string{"plugserverctl", "--control", "/run/plugserver@shop/control.sock"}
	if out := b.run(t, append(ctl, "show", "greet")...); !strings.Contains(out, "plugserverd@shop.conf:2") {
		t.Errorf("the instance's settings are not in force:\n%s", out)
	}
	// Nothing in the box resolves the name of a user who is there for a while.
	own := b.run(t, "stat", "-c", "%u:%g", "/proc/"+b.property(t, unit, "MainPID"))
	if first := b.run(t, "stat", "-c", "%u:%g", "/proc/"+b.property(t, service, "MainPID")); own == first || own == "0:0" {
		t.Errorf("the instance runs as %s, the first as %s", own, first)
	}
	user, _, _ := strings.Cut(own, ":")
	admins := strings.Split(b.run(t, "getent", "group", "plugserver-admin"), ":")[2]
	for path, want := range map[string]string{
		"/var/lib/plugserver@shop/handlers":  "0:0 755",
		"/var/lib/plugserver@shop/store/":    own + " 700",
		"/run/plugserver@shop/control.sock":  user + ":" + admins + " 660",
		"/run/plugserver@shop":               own + " 751",
		"/var/cache/private/plugserver@shop": own + " 700",
	} {
		if got := b.run(t, "stat", "-L", "-c", "%u:%g %a", path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	t.Log(b.run(t, "sh", "-c", "systemd-analyze security "+unit+".service | tail -n 1"))
	b.run(t, "systemctl", "restart", unit)
	if body := ask("http://127.0.0.1:8081/greet"); body != "one" {
		t.Errorf("after a restart: %q, want one", body)
	}
}

// instanceUpgraded tells whether the upgrade from pid, of the instance, was a restart
// that left its socket alone.
func instanceUpgraded(t *testing.T, b *box, pid, since string) {
	t.Helper()
	if now := b.property(t, "plugserverd@shop", "MainPID"); now == pid || now == "0" {
		t.Errorf("the upgrade did not restart the instance: MainPID %s, before %s", now, pid)
	}
	if b.property(t, "plugserverd@shop.socket", "ActiveEnterTimestampMonotonic") != since {
		t.Error("the upgrade restarted the instance's socket")
	}
}
