//go:build systemd

package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// files is how many files a process may have open, as the kernel keeps it.
func (b *box) files(t *testing.T, pid int) int {
	t.Helper()
	n, err := strconv.Atoi(b.run(t, "awk", "/open files/ { print $5 }", fmt.Sprintf("/proc/%d/limits", pid)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// configure gives a handler limits, which the unit's filters must not keep the
// daemon from setting, and then something wrong.
func configure(t *testing.T, b *box, main func(*testing.T) int) {
	const dropIn = settings + ".d/x.conf"
	pid := main(t)
	b.write(t, dropIn, "[Handler greet]\nMemoryMax=64M\nLimitNOFILE=200\n")
	b.run(t, "systemctl", "reload", "plugserverd")
	limited := func() {
		t.Helper()
		h := b.handler(t, "greet")
		if h.MemoryMax != 64<<20 || h.LimitNOFILE != 200 || h.PrivateBytes == 0 || h.Descriptors == 0 {
			t.Errorf("status: memory %d of %d, descriptors %d of %d", h.PrivateBytes, h.MemoryMax, h.Descriptors, h.LimitNOFILE)
		}
		// Some are on top, for the daemon to see that there are too many.
		if n := b.files(t, h.PID); n < 200 || n > 300 {
			t.Errorf("the kernel's limit is %d", n)
		}
		b.want(t, "/greet", 200, "two")
	}
	limited()
	was := b.handler(t, "greet").Restarts
	if s, body := b.get("/greet/hog"); s == 200 {
		t.Errorf("256 MiB of 64 MiB were allowed: %q", body)
	}
	eventually(t, "the handler is started again", func() bool { h := b.handler(t, "greet"); return h.Restarts > was && h.State == api.StateLive })
	b.run(t, "journalctl", "--sync")
	if log := b.run(t, "journalctl", "--no-pager", "-u", "plugserverd", "-n", "20"); !strings.Contains(log, "memory, its limit is 64 MiB") {
		t.Errorf("the log does not say why it ended:\n%s", log)
	}
	limited()

	b.write(t, dropIn, "[Handler greet]\nMemory=64M\n")
	b.fail(t, "systemctl", "reload", "plugserverd")
	b.run(t, "journalctl", "--sync")
	if log := b.run(t, "journalctl", "--no-pager", "-u", "plugserverd", "-t", "plugserverctl", "-n", "3"); !strings.Contains(log, dropIn+`:2: unknown key "Memory"`) {
		t.Errorf("the reload does not name the line:\n%s", log)
	}
	limited()

	// A section for a handler that is not there is a note, and nobody's fault.
	b.write(t, dropIn, "[Handler gret]\nMemoryMax=64M\n")
	b.run(t, "systemctl", "reload", "plugserverd")
	if out := strings.Join(strings.Fields(b.run(t, "plugserverctl", "status")), " "); !strings.Contains(out, dropIn+":1: [Handler gret]: there is no such handler; did you mean greet?") {
		t.Errorf("the status does not name the slip:\n%s", out)
	}

	b.run(t, "rm", dropIn)
	b.run(t, "systemctl", "reload", "plugserverd")
	if h := b.handler(t, "greet"); h.MemoryMax != 0 || h.LimitNOFILE != 0 {
		t.Errorf("without settings: %d bytes, %d descriptors", h.MemoryMax, h.LimitNOFILE)
	}
	if now := main(t); now != pid {
		t.Errorf("the daemon was started again: %d, before %d", now, pid)
	}
}

// rolledBack rolls greet back, from its second version to its first, and does to
// the file what is no new copy of it.
func rolledBack(t *testing.T, b *box, greet []string) {
	const file = handlers + "/greet.so"
	for _, so := range greet {
		b.run(t, "plugserverctl", "install", "--name", "greet", so)
	}
	b.run(t, "plugserverctl", "rollback", "greet")
	b.want(t, "/greet", 200, "one")
	since := b.run(t, "date", "+%s.%N")
	for _, c := range [][]string{
		{"touch", file},
		{"chmod", "0755", file},
		{"chown", "plugserver:plugserver", file},
		{"chmod", "0600", file},
		{"systemctl", "restart", "plugserverd"},
		{"touch", file},
	} {
		b.run(t, c...)
		b.run(t, "systemctl", "reload", "plugserverd") // it succeeds: all is as it was asked for
		b.want(t, "/greet", 200, "one")
	}
	b.run(t, "journalctl", "--sync")
	if log := b.run(t, "journalctl", "--no-pager", "-q", "-u", "plugserverd", "-t", "plugserverd", "-t", "plugserverctl", "-p", "warning", "--since", "@"+since); log != "" {
		t.Errorf("what was asked for is in the log as a fault:\n%s", log)
	}
	out := b.run(t, "plugserverctl", "reload")
	if !strings.Contains(out, "rolled back greet: ") {
		t.Errorf("the reload says %q", out)
	}
	b.run(t, "plugserverctl", "release", "greet")
	b.want(t, "/greet", 200, "two")
	b.run(t, "sh", "-c", "chown root:root "+file+" && chmod 0644 "+file)
}

// building lets the service build: a plugin that no cell loads gets one, and
// source is served.
func building(t *testing.T, b *box, a artefacts) {
	// Where Go's own archive is unpacked. A mount would be executable anyway.
	goroot := strings.TrimSpace(host(t, "go", "env", "GOROOT"))
	to := filepath.Join(b.root, "usr/local/go")
	host(t, "mkdir", "-p", to)
	for _, name := range []string{"bin", "pkg", "src", "lib", "VERSION", "go.env"} {
		host(t, "cp", "-R", filepath.Join(goroot, name), to)
	}
	refused := func(name, why string) {
		t.Helper()
		b.fail(t, "systemctl", "reload", "plugserverd")
		if h := b.handler(t, name); h.Refusal == nil || !strings.Contains(h.Refusal.Reason, why) {
			t.Errorf("%s: %v, want a refusal with %q", name, h.Refusal, why)
		}
	}
	b.run(t, "cp", b.put(t, a.trimmed, "trimmed.so"), handlers+"/trimmed.so")
	refused("trimmed", "-trimpath")
	// Its pattern is to be its own.
	text, err := os.ReadFile(a.source)
	if err != nil {
		t.Fatal(err)
	}
	b.write(t, handlers+"/source.go", strings.ReplaceAll(string(text), `"/greet"`, `"/source"`))
	refused("source", "--build is off")

	b.run(t, "mkdir", "-p", dropIns)
	b.run(t, "cp", "/usr/share/doc/plugserver/examples/building.conf", dropIns)
	b.run(t, "sed", "-i", "s/^PLUGSERVER_BUILD=off/PLUGSERVER_BUILD=auto/", "/etc/default/plugserverd")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "restart", "plugserverd")
	took := within(t, 10*time.Minute, "what was built is served", func() bool {
		for _, h := range b.status(t).Handlers {
			if h.Refusal != nil {
				t.Fatalf("%s is refused: %+v", h.Name, *h.Refusal)
			}
		}
		_, trimmed := b.get("/trimmed")
		_, source := b.get("/source")
		return trimmed == "trimmed" && source == "one"
	})
	t.Logf("a cell and a plugin are built and served after %v", took.Round(time.Second))
	b.want(t, "/greet", 200, "two")
	cells := b.run(t, "ls", "/var/lib/plugserver/cells")
	if h := b.handler(t, "trimmed"); h.Cell == "" || !strings.Contains(cells, h.Cell) || !strings.Contains(h.Cell, "trimpath") {
		t.Errorf("trimmed is in cell %q, want one of %q", h.Cell, cells)
	}
	if st := b.run(t, "stat", "-c", "%U:%G %a", "/var/cache/plugserver/go-build"); !strings.HasPrefix(st, "plugserver:plugserver ") {
		t.Errorf("the cache is %s", st)
	}

	// What was built is served without a compiler.
	b.run(t, "rm", "-r", dropIns, handlers+"/source.go")
	b.run(t, "sed", "-i", "s/^PLUGSERVER_BUILD=auto/PLUGSERVER_BUILD=off/", "/etc/default/plugserverd")
	b.run(t, "systemctl", "daemon-reload")
	b.run(t, "systemctl", "restart", "plugserverd")
	b.want(t, "/trimmed", 200, "trimmed")
	b.run(t, "rm", handlers+"/trimmed.so")
	b.run(t, "systemctl", "reload", "plugserverd")
}

// sandbox reads what a cell really got. See proc_pid_mountinfo(5) and
// proc_pid_status(5).
func sandbox(t *testing.T, b *box, cell int) {
	flags := map[string][]string{} // by mount point; the last one counts
	for line := range strings.Lines(b.run(t, "cat", fmt.Sprintf("/proc/%d/mountinfo", cell))) {
		f := strings.Fields(line)
		flags[f[4]] = strings.Split(f[5], ",")
	}
	for point, has := range flags {
		if strings.HasPrefix(point, "/run/host") {
			continue // systemd-nspawn's
		}
		writable, executable := !slices.Contains(has, "ro"), !slices.Contains(has, "noexec")
		if writable && executable != (point == "/var/lib/plugserver/store" || point == "/var/lib/plugserver/cells") {
			t.Errorf("%s is mounted %v", point, has)
		}
		if !slices.Contains(has, "nosuid") {
			t.Errorf("%s is mounted %v, without nosuid", point, has)
		}
	}
	for point, want := range map[string]string{"/": "ro noexec", "/usr/lib/plugserver": "ro", "/tmp": "noexec", "/var/tmp": "noexec", "/dev/shm": "noexec", "/home": "ro", "/root": "ro"} {
		for _, w := range strings.Fields(want) {
			if !slices.Contains(flags[point], w) {
				t.Errorf("%s is mounted %v, not %s", point, flags[point], w)
			}
		}
	}

	status := map[string]string{}
	for line := range strings.Lines(b.run(t, "cat", fmt.Sprintf("/proc/%d/status", cell))) {
		k, v, _ := strings.Cut(line, ":")
		status[k] = strings.TrimSpace(v)
	}
	for _, k := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if strings.Trim(status[k], "0") != "" {
			t.Errorf("%s is %s", k, status[k])
		}
	}
	uid := b.run(t, "id", "-u", "plugserver")
	for k, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "Umask": "0077", "Uid": strings.Join([]string{uid, uid, uid, uid}, "\t")} {
		if status[k] != want {
			t.Errorf("%s is %q, want %q", k, status[k], want)
		}
	}
	// A machine may have less to give.
	if got, want := b.files(t, cell), min(524288, b.files(t, 1)); got != want {
		t.Errorf("open files: got %d, want %d", got, want)
	}
	for _, ns := range []string{"user", "mnt"} {
		if b.run(t, "readlink", fmt.Sprintf("/proc/%d/ns/%s", cell, ns)) == b.run(t, "readlink", "/proc/1/ns/"+ns) {
			t.Errorf("the cell has the machine's %s namespace", ns)
		}
	}
	for entry := range strings.SplitSeq(b.run(t, "sh", "-c", fmt.Sprintf("tr '\\0' '\\n' </proc/%d/environ", cell)), "\n") {
		for _, prefix := range []string{"NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"} {
			if strings.HasPrefix(entry, prefix) {
				t.Errorf("the cell's environment has %s", entry)
			}
		}
	}
	for path, want := range map[string]string{
		"/tmp/x":                "permission denied",
		"/usr/lib/plugserver/x": "read-only file system",
		"/var/lib/plugserver/x": "read-only file system",
		"/etc/x":                "read-only file system",
	} {
		if _, got := b.get("/greet/write?path=" + path); !strings.HasSuffix(got, want) {
			t.Errorf("write to %s: got %q, want %q", path, got, want)
		}
	}
}
