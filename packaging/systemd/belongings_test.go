//go:build systemd

package systemd

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// secrets builds two versions of the sample that has a credential and state.
func secrets(t *testing.T, dir string) (files []string) {
	t.Helper()
	code, err := os.ReadFile("../../handlers/secret/secret.go")
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"visit %d", "visit %d by now"} {
		files = append(files, compile(t, dir, fmt.Sprintf("secret%d", i+1), strings.Replace(string(code), "visit %d", text, 1)))
	}
	return files
}

// belongings gives a handler a secret that root alone can read, by a credential of the service, and state: under the
// packaged unit the one is the handler's alone and on no disk, and the other outlives versions and the service.
func belongings(t *testing.T, b *box, versions []string) {
	const unit, conf, own = dropIns + "/token.conf", settings + ".d/secret.conf", "/var/lib/plugserver/state/secret"
	b.write(t, "/root/token", "s3cret")
	b.run(t, "chmod", "600", "/root/token")
	b.run(t, "mkdir", "-p", dropIns)
	b.write(t, unit, "[Service]\nLoadCredential=token:/root/token\n")
	b.write(t, conf, "[Handler secret]\nLoadCredential=token\nStateDirectory=secret\n")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "restart", service)
	serves := func(version int, want string) {
		t.Helper()
		b.run(t, "plugserverctl", "install", b.put(t, versions[version], "secret.so"))
		if got := b.run(t, "curl", "--silent", "--max-time", "20", "--header", "Authorization: Bearer s3cret", "http://"+address+"/secret"); got != want {
			t.Errorf("version %d answers %q, want %q", version+1, got, want)
		}
	}
	serves(0, "visit 1")
	serves(1, "visit 2 by now")

	dir := ""
	for entry := range strings.SplitSeq(b.run(t, "sh", "-c", fmt.Sprintf("tr '\\0' '\\n' </proc/%d/environ", b.cell(t, "secret"))), "\n") {
		if value, ok := strings.CutPrefix(entry, "CREDENTIALS_DIRECTORY="); ok {
			dir = value
		}
	}
	if !strings.HasPrefix(dir, "/run/plugserver/") {
		t.Fatalf("its credentials are in %q", dir)
	}
	if got := b.run(t, "stat", "--format=%U %a", dir+"/token"); got != "plugserver 400" {
		t.Errorf("the credential is %s", got)
	}
	if got := b.run(t, "stat", "--file-system", "--format=%T", dir); got != "tmpfs" {
		t.Errorf("its credentials are on %s", got)
	}
	for _, path := range []string{dir + "/token", own + "/visits"} {
		if _, got := b.get("/greet/read?path=" + path); !strings.HasSuffix(got, "permission denied") {
			t.Errorf("another handler reads %s: %q", path, got)
		}
	}
	if _, got := b.get("/greet/read?path=/etc/hostname"); got != "<nil>" {
		t.Errorf("it reads nothing at all: %q", got)
	}

	b.run(t, "plugserverctl", "remove", "secret")
	eventually(t, "its credentials end with its process", func() bool { _, err := b.try("test", "!", "-e", dir); return err == nil })
	b.run(t, "rm", unit, conf)
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "restart", service)
	if got := b.run(t, "cat", own+"/visits"); got != "2" {
		t.Errorf("its state is %q", got)
	}
}
