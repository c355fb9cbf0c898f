//go:build systemd

package systemd

import (
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// https serves over TLS by the packaged unit, with a certificate that root alone can
// read: it is a credential of the service, and a restart brings a renewed one.
func https(t *testing.T, b *box) {
	const unit, dropIn = "plugserverd-https.socket", "/etc/systemd/system/plugserverd.service.d/tls.conf"
	ca := testbed.NewAuthority(t, "box authority")
	b.write(t, "/root/ca.pem", string(ca.PEM))
	issue := func(names ...string) {
		t.Helper()
		pair := ca.Issue(t, 300*24*time.Hour, names...)
		b.write(t, "/root/site.crt", string(pair.Certificate))
		b.write(t, "/root/site.key", string(pair.Key))
		b.run(t, "chmod", "600", "/root/site.key")
	}
	ask := func(name string) (string, error) {
		return b.try("curl", "--silent", "--show-error", "--max-time", "20", "--cacert", "/root/ca.pem",
			"--resolve", name+":443:127.0.0.1", "--output", "/dev/null", "--write-out", "%{http_code}", "https://"+name+"/")
	}
	issue("one.example")
	b.run(t, "mkdir", "-p", strings.TrimSuffix(dropIn, "/tls.conf"))
	b.write(t, dropIn, "[Service]\nLoadCredential=site.crt:/root/site.crt\nLoadCredential=site.key:/root/site.key\n")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "stop", socket, service)
	b.run(t, "systemctl", "enable", "--now", unit, socket)
	b.run(t, "systemctl", "start", service)
	if out := b.run(t, "systemd-analyze", "verify", "--man=no", unit); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	if code, err := ask("one.example"); err != nil || code != "404" {
		t.Errorf("over TLS: %q, %v", code, err)
	}
	issue("two.example")
	b.run(t, "systemctl", "restart", service)
	b.active(t, unit, "active")
	if code, err := ask("two.example"); err != nil || code != "404" {
		t.Errorf("over TLS, renewed: %q, %v", code, err)
	}

	// In the unit's sandbox the certifier makes an account's key, and asks the network.
	const acme = settings + ".d/acme.conf"
	b.write(t, acme, "[TLS]\nACME=yes\nDomains=acme.example\nDirectory=https://127.0.0.1:1/dir\n")
	b.run(t, "systemctl", "reload", service)
	const says = "certificate of acme.example: the directory https://127.0.0.1:1/dir cannot be reached: dial tcp 127.0.0.1:1: connect: connection refused"
	for end := time.Now().Add(testbed.Patience); !strings.Contains(b.status(t).Daemon.Problem, says); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no failure of ACME: %q", b.status(t).Daemon.Problem)
		}
	}
	b.run(t, "test", "-s", "/var/lib/plugserver/acme/accounts/127.0.0.1-1-dir/anonymous/account.key")
	b.run(t, "rm", acme)
	b.run(t, "systemctl", "reload", service)
	if problem := b.status(t).Daemon.Problem; problem != "" {
		t.Errorf("without ACME: %q", problem)
	}

	b.run(t, "systemctl", "stop", socket)
	b.active(t, unit, "inactive")
	b.run(t, "systemctl", "disable", unit)
	b.run(t, "rm", dropIn)
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "start", socket, service)
}
