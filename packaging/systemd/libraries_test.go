//go:build systemd

package systemd

import (
	"fmt"
	"strings"
	"testing"
)

// libraries replaces the C library by itself, as an upgrade does, and does what needrestart would: handlers get new processes, the
// service goes on.
func libraries(t *testing.T, b *box, main int) {
	lib := b.run(t, "sh", "-c", "readlink -f /lib/*-linux-gnu/libc.so.6")
	b.run(t, "sh", "-c", fmt.Sprintf("cp -p %[1]s %[1]s.new && mv %[1]s.new %[1]s", lib))
	before := b.handler(t, "greet")
	if len(before.Replaced) != 1 || before.Replaced[0] != "libc.so.6" {
		t.Fatalf("replaced are %q", before.Replaced)
	}
	if out := strings.Join(strings.Fields(b.run(t, "plugserverctl", "status")), " "); !strings.Contains(out, "greet: it runs with libraries that were replaced since: libc.so.6") || !strings.Contains(out, "plugserverctl restart greet") {
		t.Errorf("the status does not tell:\n%s", out)
	}
	if out := b.run(t, "/etc/needrestart/restart.d/"+service); !strings.Contains(out, "restarted: greet") {
		t.Errorf("what needrestart runs said %q", out)
	}
	if now := b.handler(t, "greet"); now.PID == before.PID || now.Replaced != nil {
		t.Errorf("process %d, before %d, runs with %q", now.PID, before.PID, now.Replaced)
	}
	if now := b.property(t, service, "MainPID"); now != fmt.Sprint(main) {
		t.Errorf("the service was restarted: %s, before %d", now, main)
	}
	b.want(t, "/greet", 200, "one")
}
