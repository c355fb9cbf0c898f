//go:build systemd

// Package systemd tests the Debian package under a real systemd, booted: what
// its units promise is read from the machine, not from the units.
//
//	go test -tags systemd -v ./packaging/systemd
//
// It takes root, Debian's archive (for the first run) and port 8080 of a network
// of its own. PLUGSERVER_DEB names a package to test instead of a new one.
package systemd

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
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

const (
	handlers = "/var/lib/plugserver/handlers"
	settings = "/etc/plugserver/plugserverd.conf"
	service  = "plugserverd.service"
	socket   = "plugserverd.socket"
	dropIns  = "/etc/systemd/system/plugserverd.service.d"
)

// artefacts are made once, on the host.
type artefacts struct {
	deb, next string   // the package, and a later version of it
	greet     []string // two versions of one handler
	squat     string   // wants the pattern of greet
	trimmed   string   // no cell that is installed loads it
	source    string   // a handler in one file
	hostile   string   // tries what it is asked to
	secret    []string // two versions of a handler with a credential and state
}

func TestDebian(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can boot a Debian")
	}
	install(t, map[string]string{"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "lintian": "lintian", "prometheus": "prometheus", "docker-registry": "docker-registry",
		"minisign": "minisign", "skopeo": "skopeo", "ip": "iproute2", "curl": "curl"})
	sweep(t)
	a := build(t)
	for _, suite := range []string{"bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			// To build compiles the standard library twice. It took 100 s on two
			// processors that had ten times as much to do: one Debian is enough.
			more := ""
			if suite == "trixie" {
				more = compiler
			}
			b := boot(t, suite, more)
			t.Log(b.run(t, "systemctl", "--version"))
			day(t, b, a)
		})
	}
	t.Run("image", func(t *testing.T) { image(t, a) })
	t.Run("fleet", func(t *testing.T) { fleet(t, a.deb) })
}

// install installs the Debian packages of the commands that are missing.
func install(t *testing.T, packages map[string]string) {
	var missing []string
	for command, pkg := range packages {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		host(t, "apt-get", "update", "-q")
		host(t, append([]string{"apt-get", "install", "-q", "-y", "--no-install-recommends"}, missing...)...)
	}
}

// build makes what the boxes are given.
func build(t *testing.T) artefacts {
	dir := t.TempDir()
	a := artefacts{deb: os.Getenv("PLUGSERVER_DEB"), next: filepath.Join(dir, "next.deb")}
	if a.deb == "" {
		a.deb = reproducible(t, dir)
	}
	t.Log(host(t, "lintian", "--pedantic", "--display-info", "--fail-on", "error,warning", "--allow-root", a.deb))

	// The same programs under a later version: an upgrade as dpkg sees it.
	tree := filepath.Join(dir, "tree")
	host(t, "dpkg-deb", "--raw-extract", a.deb, tree)
	host(t, "sed", "-i", `s/^Version: .*/&+next1/`, tree+"/DEBIAN/control")
	host(t, "dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, a.next)

	compile := func(name, code string, flags ...string) string { return compile(t, dir, name, code, flags...) }
	plugin := func(name, text, pattern string, flags ...string) string {
		return compile(name, fmt.Sprintf(`package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"
)

var held []byte

func Handlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		%[2]q: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, %[1]q) },
		%[2]q + "/slow": func(w http.ResponseWriter, r *http.Request) {
			fmt.Println("slowly")
			slog.Warn("asked", "for", "a while", "n", 3)
			time.Sleep(1500 * time.Millisecond)
			fmt.Fprint(w, %[1]q)
		},
		%[2]q + "/write": func(w http.ResponseWriter, r *http.Request) {
			err := os.WriteFile(r.URL.Query().Get("path"), []byte("x"), 0o600)
			fmt.Fprint(w, err)
		},
		%[2]q + "/read": func(w http.ResponseWriter, r *http.Request) {
			_, err := os.ReadFile(r.URL.Query().Get("path"))
			fmt.Fprint(w, err)
		},
		%[2]q + "/hog": func(w http.ResponseWriter, r *http.Request) {
			held = bytes.Repeat([]byte("x"), 256<<20)
			time.Sleep(20 * time.Second)
		},
	}
}

func main() {}
`, text, pattern), flags...)
	}
	a.greet = []string{plugin("greet1", "one", "/greet"), plugin("greet2", "two", "/greet")}
	a.squat = plugin("squat", "mine", "/greet")
	a.trimmed = plugin("trimmed", "trimmed", "/trimmed", "-trimpath")
	a.hostile = compile("hostile", testbed.Hostile)
	a.secret = secrets(t, dir)
	a.source = filepath.Join(dir, "src-greet1", "main.go")
	return a
}

// compile builds a plugin out of one file, in a folder of dir.
func compile(t *testing.T, dir, name, code string, flags ...string) string {
	src := filepath.Join(dir, "src-"+name)
	mod := fmt.Sprintf("module example.org/%s\n\ngo 1.24\n", name)
	for file, content := range map[string]string{"main.go": code, "go.mod": mod} {
		if err := os.MkdirAll(src, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(src, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	so := filepath.Join(dir, name+".so")
	cmd := exec.Command("go", append(append([]string{"build", "-buildmode=plugin", "-o", so}, flags...), ".")...)
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return so
}

// reproducible builds the package twice, the second time in another place, and
// returns it if the bytes are the same.
func reproducible(t *testing.T, dir string) string {
	t.Helper()
	pack := func(script, name string) (string, []byte) {
		out := strings.Fields(host(t, script, filepath.Join(dir, name)))
		deb := out[slices.IndexFunc(out, func(s string) bool { return strings.HasSuffix(s, ".deb") })]
		content, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		return deb, content
	}
	elsewhere := filepath.Join(dir, "elsewhere")
	host(t, "sh", "-c", "umask 027 && mkdir "+elsewhere+" && cd ../.. && tar --exclude=./bin --exclude=./run --exclude=./.git -cf - . | tar -xmf - -C "+elsewhere)
	deb, one := pack("../deb/build.sh", "one")
	_, two := pack(filepath.Join(elsewhere, "packaging/deb/build.sh"), "two")
	if !bytes.Equal(one, two) {
		t.Error("two builds give different bytes")
	}
	t.Logf("%s: %d bytes, SHA-256 %x", filepath.Base(deb), len(one), sha256.Sum256(one))
	return deb
}

// status is what plugserverctl status says.
func (b *box) status(t *testing.T) api.Status {
	t.Helper()
	var st api.Status
	if err := json.Unmarshal([]byte(b.run(t, "plugserverctl", "status", "--json")), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// handler is one handler's status; PIDs are the box's.
func (b *box) handler(t *testing.T, name string) api.Handler {
	t.Helper()
	for _, h := range b.status(t).Handlers {
		if h.Name == name {
			return h
		}
	}
	t.Fatalf("no handler %q\n%s", name, b.run(t, "plugserverctl", "status"))
	return api.Handler{}
}

// cell is the PID of a live handler's cell.
func (b *box) cell(t *testing.T, name string) int {
	t.Helper()
	h := b.handler(t, name)
	if h.State != api.StateLive || h.PID == 0 {
		t.Fatalf("handler %q is %s with PID %d, want it live", name, h.State, h.PID)
	}
	return h.PID
}

// mainPID is the process of a unit that runs.
func (b *box) mainPID(t *testing.T, unit string) int {
	t.Helper()
	pid, err := strconv.Atoi(b.property(t, unit, "MainPID"))
	if err != nil || pid == 0 {
		t.Fatalf("MainPID of %s: %d, %v", unit, pid, err)
	}
	return pid
}

// day is a user's day with the package, in order: each step builds on those
// before it.
func day(t *testing.T, b *box, a artefacts) {
	greet := []string{b.put(t, a.greet[0], "greet1.so"), b.put(t, a.greet[1], "greet2.so")}
	squat := b.put(t, a.squat, "squat.so")
	deb, next := b.put(t, a.deb, "plugserver.deb"), b.put(t, a.next, "next.deb")
	main := func(t *testing.T) int { t.Helper(); return b.mainPID(t, service) }
	// never fails the test if a connection was refused, or if more than most
	// requests failed.
	never := func(t *testing.T, c counts, most int) {
		t.Helper()
		if c.Refused > 0 || c.failed() > most {
			t.Errorf("%d connections refused, want 0; %d requests failed, want at most %d", c.Refused, c.failed(), most)
		}
	}
	// A step that could not be walked to its end ends the day.
	walked := true
	step := func(name string, f func(t *testing.T)) {
		if !walked {
			return
		}
		walked = false
		t.Run(name, func(t *testing.T) { f(t); walked = true })
	}

	step("install", func(t *testing.T) {
		b.run(t, "apt-get", "install", "-y", deb)
		b.active(t, socket, "active")
		b.active(t, service, "active")
		b.want(t, "/", 404, "")
		for path, want := range map[string]string{
			handlers:                       "root:plugserver 750",
			"/var/lib/plugserver":          "root:root 755",
			"/var/lib/plugserver/store":    "plugserver:plugserver 700",
			"/var/lib/plugserver/tmp":      "plugserver:plugserver 700",
			"/var/lib/plugserver/state":    "plugserver:plugserver 700",
			"/var/lib/plugserver/cells":    "plugserver:plugserver 700",
			"/var/lib/plugserver/acme":     "plugserver:plugserver 700",
			"/var/lib/plugserver/sync":     "root:root 755",
			"/etc/plugserver/sync.d":       "root:root 755",
			"/var/cache/plugserver":        "plugserver:plugserver 700",
			"/run/plugserver":              "plugserver:plugserver 751",
			"/run/plugserver/control.sock": "plugserver:plugserver-admin 660",
			settings:                       "root:root 644",
			settings + ".d":                "root:root 755",
			"/var/lib/plugserver/cells/" + b.run(t, "ls", "/var/lib/plugserver/cells"): "plugserver:plugserver 755", // the copy of the packaged one
		} {
			if got := b.run(t, "stat", "-c", "%U:%G %a", path); got != want {
				t.Errorf("%s is %s, want %s", path, got, want)
			}
		}
		if out := b.run(t, "systemd-analyze", "verify", "--man=no", socket, service); out != "" {
			t.Errorf("systemd-analyze verify: %s", out)
		}
	})
	step("start by socket", func(t *testing.T) {
		b.run(t, "systemctl", "stop", socket)
		b.active(t, service, "inactive")
		b.run(t, "systemctl", "start", socket)
		b.active(t, service, "inactive")
		b.want(t, "/", 404, "")
		b.run(t, "systemctl", "start", service) // which waits until systemd knows, and has given the control socket away
		b.active(t, service, "active")

		b.run(t, "systemctl", "stop", socket)
		b.run(t, "systemctl", "start", service)
		b.active(t, socket, "active")
	})
	step("https", func(t *testing.T) { https(t, b) })
	step("instances", func(t *testing.T) { instances(t, b, greet) })
	step("drop", func(t *testing.T) {
		b.run(t, "cp", greet[0], handlers+"/greet.so")
		took := eventually(t, "GET /greet is answered", func() bool { s, body := b.get("/greet"); return s == 200 && body == "one" })
		t.Logf("live %v after cp", took.Round(time.Millisecond))
		b.run(t, "systemctl", "reload", "plugserverd")
		if text := b.property(t, service, "StatusText"); !strings.Contains(text, "1 handler") {
			t.Errorf("status text: %q", text)
		}
	})
	step("credentials and state", func(t *testing.T) { belongings(t, b, a.secret) })
	step("sandbox", func(t *testing.T) { sandbox(t, b, b.cell(t, "greet")) })
	step("control groups", func(t *testing.T) { groups(t, b) })
	step("replaced libraries", func(t *testing.T) { libraries(t, b, main(t)) })
	step("hostile handler", func(t *testing.T) { hostile(t, b, a.hostile, main(t)) })
	step("group", func(t *testing.T) {
		b.run(t, "useradd", "alice")
		as := func(who string) []string {
			return []string{"setpriv", "--reuid=" + who, "--regid=" + who, "--init-groups", "plugserverctl", "status"}
		}
		b.fail(t, as("alice")...)
		b.run(t, "usermod", "-a", "-G", "plugserver-admin", "alice")
		b.run(t, as("alice")...)
		b.run(t, "useradd", "bob")
		b.run(t, "usermod", "-a", "-G", "plugserver", "bob") // as an older package had it
		b.fail(t, as("bob")...)
		// The daemon's own user, outside of any sandbox, passes the socket's mode.
		if out, err := b.try(as("plugserver")...); err == nil || !strings.Contains(out, "run as root or join the group plugserver-admin") {
			t.Errorf("the user plugserver: %v: %s", err, out)
		}
	})
	step("replace under load", func(t *testing.T) {
		never(t, b.load(t, "/greet", func() {
			for i := range 10 {
				b.run(t, "cp", greet[(i+1)%2], handlers+"/.new")
				b.run(t, "mv", handlers+"/.new", handlers+"/greet.so")
				b.run(t, "systemctl", "reload", "plugserverd")
				b.want(t, "/greet", 200, []string{"two", "one"}[i%2])
			}
		}), 0)
	})
	if !b.builds { // one Debian is enough
		step("watch", func(t *testing.T) { watched(t, b, greet) })
	}
	step("sync", func(t *testing.T) { synced(t, b, greet) })
	step("reload by SIGHUP", func(t *testing.T) {
		b.run(t, "cp", greet[1], handlers+"/.new") // over the old one, it would be no version to go back to for 10 s
		b.run(t, "mv", handlers+"/.new", handlers+"/greet.so")
		b.kill(t, "HUP", main(t))
		eventually(t, "the second version answers", func() bool { _, body := b.get("/greet"); return body == "two" })
	})
	step("refuse", func(t *testing.T) {
		b.run(t, "cp", squat, handlers+"/squat.so")
		b.fail(t, "systemctl", "reload", "plugserverd")
		b.run(t, "journalctl", "--sync")
		log := b.run(t, "journalctl", "--no-pager", "-x", "-u", "plugserverd", "PLUGSERVER_HANDLER=squat")
		t.Log(log)
		for _, want := range []string{`pattern "/greet" is taken by handler "greet"`, "Subject: Handler squat: its file is refused", "plugserverctl status"} {
			if !strings.Contains(log, want) {
				t.Errorf("journalctl -x does not say %q", want)
			}
		}
		if log := b.run(t, "journalctl", "--no-pager", "-u", "plugserverd", "-t", "plugserverctl", "-n", "3"); !strings.Contains(log, "refused squat: ") {
			t.Errorf("the reload does not name the file:\n%s", log)
		}
		if got := b.run(t, "journalctl", "--no-pager", "-o", "verbose", "-n", "1", "-u", "plugserverd", "PLUGSERVER_HANDLER=squat"); !strings.Contains(got, "PRIORITY=4") || !strings.Contains(got, "MESSAGE_ID=") {
			t.Errorf("record of the refusal:\n%s", got)
		}
		b.want(t, "/greet", 200, "two")
		b.run(t, "rm", handlers+"/squat.so")
		b.run(t, "systemctl", "reload", "plugserverd")
	})
	step("one handler's log", func(t *testing.T) {
		b.want(t, "/greet/slow", 200, "two")
		b.run(t, "journalctl", "--sync")
		if log := b.run(t, "journalctl", "--no-pager", "-u", "plugserverd", "PLUGSERVER_HANDLER=greet"); !strings.Contains(log, "slowly") {
			t.Errorf("what the handler printed is not in its log:\n%s", log)
		}
		if log := b.run(t, "plugserverctl", "logs", "greet"); !strings.Contains(log, "slowly") {
			t.Errorf("plugserverctl logs says:\n%s", log)
		}
		log := b.run(t, "journalctl", "--no-pager", "-o", "cat", "-u", "plugserverd")
		for _, want := range []string{"greet: slowly", `greet: asked  for="a while" n=3`} {
			if !strings.Contains(log, want) {
				t.Errorf("the log of all does not say %q:\n%s", want, log)
			}
		}
		if args := b.run(t, "sh", "-c", fmt.Sprintf("tr '\\0' ' ' </proc/%d/cmdline", b.cell(t, "greet"))); !strings.Contains(args, " greet") {
			t.Errorf("the cell's arguments do not name its handler: %q", args)
		}
	})
	step("settings", func(t *testing.T) { configure(t, b, main) })
	step("plugserverctl", func(t *testing.T) {
		for _, s := range []struct {
			args []string
			says string // one of its lines, as a regular expression
			body string // of /greet thereafter
		}{
			{[]string{"check", greet[0]}, `ready in .* as user plugserver: /greet`, "two"},
			{[]string{"install", "--name", "greet", greet[0]}, `live: greet, `, "one"},
			{[]string{"history", "greet"}, `[0-9a-f]{12} .* serves$`, "one"},
			{[]string{"rollback", "greet"}, `rolled back: greet, `, "two"},
			{[]string{"release", "greet"}, `released: greet is live$`, "one"},
			{[]string{"remove", "greet"}, `removed`, ""},
			{[]string{"install", "--name", "greet", greet[1]}, `live: greet, `, "two"},
		} {
			out := b.run(t, append([]string{"plugserverctl"}, s.args...)...)
			t.Logf("plugserverctl %s:\n%s", strings.Join(s.args, " "), out)
			if !regexp.MustCompile("(?m)" + s.says).MatchString(out) {
				t.Errorf("%q said %q, want %q", s.args, out, s.says)
			}
			if s.body == "" {
				b.want(t, "/greet", 404, "")
			} else {
				b.want(t, "/greet", 200, s.body)
			}
		}
	})
	step("what was rolled back stays so", func(t *testing.T) { rolledBack(t, b, greet) })
	step("a unit of its own", func(t *testing.T) { apart(t, b, greet, a.hostile, main) })
	step("SIGKILL of a cell", func(t *testing.T) {
		never(t, b.load(t, "/greet", func() {
			b.kill(t, "KILL", b.cell(t, "greet"))
			eventually(t, "the cell is started again", func() bool { s, _ := b.get("/greet"); return s == 200 })
		}), clients) // what is in flight
	})
	step("SIGKILL of the gate", func(t *testing.T) {
		never(t, b.load(t, "/greet", func() {
			gate := b.status(t).Daemon.GatePID
			b.kill(t, "KILL", gate)
			eventually(t, "there is another gate", func() bool { pid := b.status(t).Daemon.GatePID; return pid != 0 && pid != gate })
			b.want(t, "/greet", 200, "")
		}), clients)
	})
	step("SIGKILL of the supervisor", func(t *testing.T) {
		// What is in flight is lost.
		const times = 20
		never(t, b.load(t, "/greet", func() {
			for range times {
				pid := main(t)
				b.kill(t, "KILL", pid)
				eventually(t, "another one serves", func() bool {
					now := b.property(t, service, "MainPID")
					s, body := b.get("/greet")
					return now != "0" && now != fmt.Sprint(pid) && s == 200 && body == "two"
				})
			}
		}), times*clients)
		b.active(t, socket, "active")
	})
	step("a failing start", func(t *testing.T) {
		// The sockets outlive it, and who connects meanwhile waits.
		b.run(t, "sh", "-c", "echo PLUGSERVER_POLL=nonsense >>/etc/default/plugserverd")
		never(t, b.load(t, "/greet", func() {
			b.fail(t, "systemctl", "restart", service)
			time.Sleep(2 * time.Second) // a few starts
			b.active(t, socket, "active")
			eventually(t, "systemctl status tells why", func() bool {
				return strings.Contains(b.property(t, service, "StatusText"), "PLUGSERVER_POLL, in line ")
			})
			log := b.run(t, "journalctl", "--no-pager", "-o", "cat", "-b", "-u", service, "-t", "plugserverd")
			if n := strings.Count(log, `/etc/default/plugserverd, is "nonsense": not a time; write one such as`); n == 0 || n > 6 {
				t.Errorf("the reason stands %d times in the log, or the pauses do not grow:\n%s", n, log)
			}
			b.run(t, "sed", "-i", "/nonsense/d", "/etc/default/plugserverd")
			b.want(t, "/greet", 200, "two")
		}), 0)
	})
	step("watchdog", func(t *testing.T) {
		b.run(t, "mkdir", "-p", dropIns)
		b.run(t, "sh", "-c", "printf '[Service]\nWatchdogSec=2s\n' >"+dropIns+"/watchdog.conf")
		b.run(t, "systemctl", "daemon-reload")
		b.run(t, "systemctl", "restart", service)
		c := b.load(t, "/greet", func() {
			pid := main(t)
			b.kill(t, "STOP", pid)
			took := eventually(t, "systemd replaces the stopped supervisor", func() bool { p := b.property(t, service, "MainPID"); return p != "0" && p != fmt.Sprint(pid) })
			t.Logf("replaced after %v", took.Round(time.Millisecond))
			b.want(t, "/greet", 200, "two")
		})
		// What is in flight, and what comes back to a gate that is killed in its turn.
		never(t, c, 2*clients)
		b.run(t, "rm", dropIns+"/watchdog.conf")
		b.run(t, "systemctl", "daemon-reload")
	})
	// A client that keeps its connection gets an answer that ends it; none sees
	// anything else.
	step("restart under load", func(t *testing.T) {
		const times = 10
		slow := make(chan string, 1)
		c := b.load(t, "/greet", func() {
			go func() { _, body := b.get("/greet/slow"); slow <- body }()
			eventually(t, "the slow request is under way", func() bool { return b.handler(t, "greet").InFlight > 0 })
			for range times {
				b.run(t, "systemctl", "restart", "plugserverd")
			}
		})
		never(t, c, 0)
		if got := <-slow; got != "two" {
			t.Errorf("the request under way: got %q, want two", got)
		}
	})
	step("upgrade under load", func(t *testing.T) {
		const shop = "plugserverd@shop"
		since, pid := b.property(t, socket, "ActiveEnterTimestampMonotonic"), main(t)
		shopSince, shopPID := b.property(t, shop+".socket", "ActiveEnterTimestampMonotonic"), b.property(t, shop, "MainPID")
		b.run(t, "groupdel", "plugserver-admin") // which an older package did not have
		c := b.load(t, "/greet", func() { b.run(t, "apt-get", "install", "-y", next) })
		never(t, c, 0)
		if got := b.run(t, "getent", "group", "plugserver-admin"); !strings.HasSuffix(strings.TrimSpace(got), ":bob") {
			t.Errorf("who might use plugserverctl before may not after: %s", got)
		}
		b.run(t, "setpriv", "--reuid=bob", "--regid=bob", "--init-groups", "plugserverctl", "status")
		if got := b.run(t, "dpkg-query", "-W", "-f", "${Version}", "plugserver"); !strings.HasSuffix(got, "+next1") {
			t.Fatalf("version %s is installed", got)
		}
		if b.property(t, socket, "ActiveEnterTimestampMonotonic") != since {
			t.Error("the upgrade restarted the sockets")
		}
		if main(t) == pid {
			t.Error("the upgrade did not restart the service")
		}
		instanceUpgraded(t, b, shopPID, shopSince)
		b.want(t, "/greet", 200, "two")
	})
	step("between unpack and configure", func(t *testing.T) {
		// The running daemon's mounts must survive that its files are replaced.
		b.run(t, "dpkg", "--unpack", next)
		cell, gate := b.cell(t, "greet"), b.status(t).Daemon.GatePID
		b.kill(t, "KILL", cell)
		b.kill(t, "KILL", gate)
		eventually(t, "both are started again", func() bool { s, body := b.get("/greet"); return s == 200 && body == "two" })
		b.run(t, "dpkg", "--configure", "plugserver")
	})
	step("no network", func(t *testing.T) {
		score(t, b, service, 1.1)
		b.run(t, "mkdir", "-p", dropIns)
		b.run(t, "cp", "/usr/share/doc/plugserver/examples/no-network.conf", dropIns)
		b.run(t, "systemctl", "daemon-reload")
		b.run(t, "systemctl", "restart", "plugserverd")
		score(t, b, service, 0.2)
		b.want(t, "/greet", 200, "two")
		if cell := b.cell(t, "greet"); b.run(t, "readlink", fmt.Sprintf("/proc/%d/ns/net", cell)) == b.run(t, "readlink", "/proc/1/ns/net") {
			t.Error("the cell has the machine's network")
		}
		b.run(t, "rm", "-r", dropIns)
		b.run(t, "systemctl", "daemon-reload")
		b.run(t, "systemctl", "restart", "plugserverd")
	})
	if b.builds {
		step("build", func(t *testing.T) { building(t, b, a) })
	}
	step("autopkgtest", func(t *testing.T) {
		t.Log(b.run(t, b.put(t, "../deb/debian/tests/smoke", "smoke")))
	})
	step("stop", func(t *testing.T) {
		b.run(t, "systemctl", "stop", socket)
		b.active(t, service, "inactive")
		if s, _ := b.get("/greet"); s != 0 {
			t.Errorf("answered %d after the stop", s)
		}
		if out, err := b.try("test", "-e", "/run/plugserver"); err == nil {
			t.Errorf("/run/plugserver is still there: %s", out)
		}
		b.run(t, "systemctl", "start", service)
	})
	step("remove", func(t *testing.T) {
		b.run(t, "apt-get", "remove", "-y", "plugserver")
		if s, _ := b.get("/greet"); s != 0 {
			t.Errorf("answered %d after the removal", s)
		}
		for _, unit := range []string{"plugserverd@shop.service", "plugserverd@shop.socket"} {
			b.active(t, unit, "inactive")
		}
		b.run(t, "test", "-e", handlers+"/greet.so", "-a", "-e", "/etc/default/plugserverd", "-a", "-e", settings)
		b.run(t, "apt-get", "install", "-y", deb)
		b.want(t, "/greet", 200, "two")
	})
	step("purge", func(t *testing.T) {
		b.run(t, "touch", settings+".d/mine.conf")
		b.run(t, "rm", "-r", "/var/lib/plugserver@shop/handlers", "/etc/plugserver/plugserverd@shop.conf", "/etc/default/plugserverd@shop")
		b.run(t, "apt-get", "purge", "-y", "plugserver")
		b.run(t, "test", "-e", handlers+"/greet.so", "-a", "-e", settings+".d/mine.conf")
		for _, path := range []string{"/var/lib/plugserver/store", "/var/lib/plugserver/cells", "/var/lib/plugserver/tmp", "/var/lib/plugserver/state", "/var/lib/plugserver/acme", "/var/lib/plugserver/sync", "/var/cache/plugserver", "/etc/default/plugserverd", settings, "/run/plugserver", "/usr/lib/systemd/system/" + service,
			"/var/lib/plugserver@shop", "/var/lib/private/plugserver@shop", "/var/cache/private/plugserver@shop"} {
			b.fail(t, "test", "-e", path)
		}
		// systemd knows a unit for as long as another that names it ends, such as a cell's.
		eventually(t, "no unit is left", func() bool {
			return b.run(t, "systemctl", "list-units", "--all", "--no-legend", "plugserverd*") == ""
		})
		// Without files of the user's, nothing is left.
		b.run(t, "rm", handlers+"/greet.so", settings+".d/mine.conf")
		b.run(t, "apt-get", "install", "-y", deb)
		out := b.run(t, "apt-get", "purge", "-y", "plugserver")
		// Debian 12's systemd owns the folder under its old name, /lib, alone.
		if b.suite == "bookworm" {
			out = strings.ReplaceAll(out, "warning: while removing plugserver, directory '/usr/lib/systemd/system' not empty", "")
		}
		if strings.Contains(out, "warning") {
			t.Errorf("the purge warns: %s", out)
		}
		b.fail(t, "test", "-e", "/var/lib/plugserver", "-o", "-e", "/etc/plugserver")
	})
}
