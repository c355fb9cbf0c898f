//go:build systemd

package systemd

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// store has Debian's registry answer in the box, where it wants credentials, and returns a file of them.
func store(t *testing.T, b *box) (credentials string) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatal("there is no registry: make deps")
	}
	host(t, "cp", program, filepath.Join(b.root, "usr/local/bin/docker-registry"))
	b.write(t, "/root/htpasswd", testbed.RegistryHtpasswd)
	b.write(t, "/root/registry.yml", `version: 0.1
storage: {filesystem: {rootdirectory: /root/registry}}
http: {addr: "127.0.0.1:5000", secret: x}
auth: {htpasswd: {realm: box, path: /root/htpasswd}}
`)
	b.run(t, "systemd-run", "--unit=registry", "docker-registry", "serve", "/root/registry.yml")
	eventually(t, "the registry answers", func() bool { _, err := b.try("curl", "--silent", "http://127.0.0.1:5000/v2/"); return err == nil })
	const auth = testbed.RegistryUser + ":" + testbed.RegistryPassword
	credentials = "/etc/plugserver/sync.d/shop.json"
	b.write(t, credentials, fmt.Sprintf(`{"auths": {"127.0.0.1:5000": {"auth": %q}}}`, base64.StdEncoding.EncodeToString([]byte(auth))))
	b.run(t, "chmod", "600", credentials)
	return credentials
}

// synced has the packaged timer follow a registry: a new release is live without anybody's doing, and under
// load; what somebody else has put there is not touched, and a file that was deleted comes again.
func synced(t *testing.T, b *box, greet []string) {
	const unit, timer, ref = "plugserver-sync@shop.service", "plugserver-sync@shop.timer", "127.0.0.1:5000/shop:prod"
	credentials := store(t, b)
	b.write(t, "/etc/plugserver/sync.d/shop.conf", "[Sync]\nRef="+ref+"\nInterval=1min\n")
	push := func(so string) {
		t.Helper()
		b.run(t, "cp", so, "/root/greet.so")
		b.run(t, "plugserverctl", "push", "--credentials", credentials, ref, "/root/greet.so")
	}
	push(greet[0])
	if out := b.run(t, "systemd-analyze", "verify", "--man=no", unit, timer); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}

	// The file of before is the administrator's.
	b.run(t, "cp", greet[1], handlers+"/.new")
	b.run(t, "mv", handlers+"/.new", handlers+"/greet.so")
	b.run(t, "systemctl", "reload", service)
	b.fail(t, "systemctl", "start", unit)
	b.run(t, "journalctl", "--sync")
	if log := b.run(t, "journalctl", "--no-pager", "-o", "cat", "-u", unit); !strings.Contains(log, "refused greet: somebody else has put "+handlers+"/greet.so there") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	b.want(t, "/greet", 200, "two")
	b.run(t, "plugserverctl", "remove", "greet")
	for range 6 { // in 10 s systemd allows a unit 5 by default
		b.run(t, "systemctl", "start", unit)
	}
	b.want(t, "/greet", 200, "one")
	if got := b.run(t, "stat", "-c", "%U:%G %a", handlers+"/greet.so"); got != "root:root 644" {
		t.Errorf("the file is %s", got)
	}
	h := b.handler(t, "greet")
	if h.Origin == nil || h.Origin.Ref != ref || h.Origin.Sync != "shop" || h.Origin.Agreed.IsZero() {
		t.Errorf("it came from %+v", h.Origin)
	}

	// By the timer, which looks each second here.
	b.run(t, "mkdir", "-p", "/etc/systemd/system/"+timer+".d")
	b.write(t, "/etc/systemd/system/"+timer+".d/often.conf", "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\nAccuracySec=1ms\n")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "enable", "--now", timer)
	c := b.load(t, "/greet", func() {
		push(greet[1])
		took := eventually(t, "the new release is live", func() bool { _, body := b.get("/greet"); return body == "two" })
		t.Logf("live %v after the push, by the timer", took.Round(time.Millisecond))
	})
	if c.Refused > 0 || c.failed() > 0 {
		t.Errorf("%v", c)
	}
	b.run(t, "rm", handlers+"/greet.so")
	eventually(t, "a deleted file comes again, and is live", func() bool {
		_, err := b.try("test", "-e", handlers+"/greet.so")
		return err == nil && slices.ContainsFunc(b.status(t).Handlers, func(h api.Handler) bool { return h.Name == "greet" && h.State == api.StateLive })
	})
	b.run(t, "journalctl", "--sync")
	log := b.run(t, "journalctl", "--no-pager", "-o", "cat", "-u", unit)
	if !strings.Contains(log, "live: greet, version") || strings.Contains(log, "Starting") || strings.Contains(log, "Finished") {
		t.Errorf("the log is:\n%s", log)
	}
	metrics := b.run(t, "plugserverctl", "metrics")
	for _, want := range []string{`plugserver_sync_info{digest="sha256:[0-9a-f]{64}",ref="` + ref + `",sync="shop"} 1`, `plugserver_sync_refusals_total{sync="shop"} 1`, `plugserver_sync_pulled_bytes_total{sync="shop"} [1-9]`} {
		if !regexp.MustCompile(want).MatchString(metrics) {
			t.Errorf("the metrics have no %s:\n%s", want, metrics)
		}
	}
	syncedInstance(t, b, unit)
	score(t, b, unit, 1.5)
	confined(t, b)
	b.run(t, "systemctl", "disable", "--now", timer)
	b.run(t, "systemctl", "stop", socket, service)
	b.run(t, "systemctl", "start", unit) // and is not, for there is no daemon
	b.run(t, "systemctl", "start", socket, service)
	b.run(t, "systemctl", "stop", "registry")
	b.run(t, "rm", "-r", "/etc/systemd/system/"+timer+".d", "/etc/plugserver/sync.d/shop.conf", credentials, "/root/registry")
	b.run(t, "systemctl", "daemon-reload")
}

// syncedInstance has the same units follow the registry for the instance of the entry's name, in place of the first.
func syncedInstance(t *testing.T, b *box, unit string) {
	const entry, at = "/etc/plugserver/sync.d/shop.conf", "/run/plugserver@shop/control.sock"
	b.run(t, "systemctl", "stop", "plugserver-sync@shop.timer")
	was := b.run(t, "cat", entry) + "\n"
	b.write(t, entry, was+"Instance=yes\n")
	b.run(t, "plugserverctl", "--control", at, "remove", "greet")
	b.run(t, "systemctl", "start", unit)
	if body := b.run(t, "curl", "--silent", "--max-time", "20", "http://127.0.0.1:8081/greet"); body != "two" {
		t.Errorf("the instance answers %q, want two", body)
	}
	if got := b.run(t, "sh", "-c", "stat -c '%U:%G %a' /var/lib/plugserver@shop/handlers/greet.so; ls /var/lib/plugserver@shop/sync"); got != "root:root 644\nshop.json\nshop.lock" {
		t.Errorf("of the instance there is %s", got)
	}
	if out := b.run(t, "plugserverctl", "--control", at, "status", "greet"); !strings.Contains(out, "by the sync shop") {
		t.Errorf("its status is:\n%s", out)
	}
	b.run(t, "systemctl", "stop", "plugserverd@shop.socket", "plugserverd@shop.service")
	b.run(t, "systemctl", "start", unit) // and nothing is done, for that daemon was stopped
	b.run(t, "systemctl", "start", "plugserverd@shop.socket", "plugserverd@shop.service")
	b.run(t, "rm", entry)
	b.run(t, "plugserverctl", "--control", at, "sync", "--forget", "shop")
	if body := b.run(t, "curl", "--silent", "--max-time", "20", "http://127.0.0.1:8081/greet"); body != "two" {
		t.Errorf("what is followed no more answers %q, want two", body)
	}
	b.write(t, entry, was)
	b.run(t, "systemctl", "start", "plugserver-sync@shop.timer")
}

// confined has the service look for what it should not see, and ask without credentials.
func confined(t *testing.T, b *box) {
	b.write(t, "/etc/plugserver/sync.d/blog.conf", "[Sync]\nRef=127.0.0.1:5000/blog:prod\n")
	b.fail(t, "systemctl", "start", "plugserver-sync@blog")
	const dir = "/etc/systemd/system/plugserver-sync@spy.service.d"
	b.run(t, "mkdir", "-p", dir)
	b.write(t, dir+"/spy.conf", "[Service]\nExecStart=\nExecStart=-/usr/bin/plugserverctl check /etc/shadow\nExecStart=-/usr/bin/plugserverctl --control /run/systemd/private status\nExecStart=-/usr/bin/plugserverctl check /root/htpasswd\nExecStart=/usr/bin/plugserverctl status\n")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "start", "plugserver-sync@spy")
	b.run(t, "journalctl", "--sync")
	for unit, wants := range map[string][]string{
		"plugserver-sync@blog": {"registry 127.0.0.1:5000 wants credentials for 127.0.0.1:5000/blog"},
		"plugserver-sync@spy":  {"open /etc/shadow: no such file or directory", `connect to "/run/systemd/private": no daemon answers`, "open /root/htpasswd: permission denied", "plugserverd "},
	} {
		log := b.run(t, "journalctl", "--no-pager", "-o", "cat", "-u", unit)
		for _, want := range wants {
			if !strings.Contains(log, want) {
				t.Errorf("%s does not say %q:\n%s", unit, want, log)
			}
		}
	}
	b.run(t, "rm", "-r", dir, "/etc/plugserver/sync.d/blog.conf")
}

// score fails where systemd-analyze finds a service more exposed than that.
func score(t *testing.T, b *box, unit string, most float64) {
	t.Helper()
	out := b.run(t, "systemd-analyze", "security", unit)
	m := regexp.MustCompile(`exposure level for ` + regexp.QuoteMeta(unit) + `: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	t.Logf("systemd-analyze security %s: %s", unit, m[1])
	if got, err := strconv.ParseFloat(m[1], 64); err != nil || got > most {
		t.Errorf("security of %s: %v, want at most %v", unit, got, most)
	}
}
