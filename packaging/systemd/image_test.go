//go:build systemd

package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// imageName is what the archive is loaded as, but for the version.
const imageName = "localhost/plugserver:"

// image builds the container image out of the package, and has a container runtime run it in a booted Debian as Kubernetes
// does: with a root that is not written, as its own user, without a capability, filtered as runtimes filter.
func image(t *testing.T, a artefacts) {
	lap := laps(t)
	install(t, map[string]string{"umoci": "umoci"})
	dir := t.TempDir()
	archive := archived(t, a.deb, dir)
	late := compile(t, dir, "late", `package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func Start(ctx context.Context) error {
	fmt.Println("late waits")
	for ctx.Err() == nil {
		if _, err := os.Stat("/srv/start"); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ctx.Err()
}

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/late", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "late")
	}
}

func main() {}
`)
	lap("the image is built, twice")
	b := boot(t, "trixie", engine)
	lap("the box has booted")
	c := &containers{b, imageName + version(t, a.deb)}
	c.prepare(t, archive)
	greet := []string{b.put(t, a.greet[0], "greet1.so"), b.put(t, a.greet[1], "greet2.so")}
	b.put(t, late, "late.so")
	lap("podman has the image")

	t.Run("as it is", func(t *testing.T) { c.asItIs(t) })
	t.Run("life", func(t *testing.T) { c.life(t, greet[1]) })
	t.Run("without Landlock", func(t *testing.T) { c.withoutLandlock(t) })
	t.Run("kubernetes", func(t *testing.T) { c.kubernetes(t, greet) })
}

// archived builds the image twice, on a Debian that the cache has, and returns its archive if the bytes are the same.
func archived(t *testing.T, deb, dir string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(cache, "plugserver", "roots", "image-trixie.tar")
	if _, err := os.Stat(base); err != nil {
		host(t, "mkdir", "-p", filepath.Dir(base))
		host(t, "../image/build.sh", "--base", base+".new")
		host(t, "mv", base+".new", base)
	}
	t.Setenv("BASE", base)
	one := strings.TrimSpace(host(t, "../image/build.sh", deb, filepath.Join(dir, "one")))
	two := strings.TrimSpace(host(t, "../image/build.sh", deb, filepath.Join(dir, "two")))
	host(t, "cmp", one, two)
	return one
}

func version(t *testing.T, deb string) string {
	return strings.NewReplacer("+", "-", "~", "-").Replace(strings.TrimSpace(host(t, "dpkg-deb", "-f", deb, "Version")))
}

// containers are those that podman runs in a box.
type containers struct {
	*box
	image string
}

// prepare loads the image, and has podman ask for nothing that the machine may not have: limits that root may raise, and
// controllers of control groups.
func (c *containers) prepare(t *testing.T, archive string) {
	c.run(t, "mkdir", "-p", "/etc/containers")
	c.write(t, "/etc/containers/containers.conf", "[containers]\ndefault_ulimits = [\"nofile=10000:10000\", \"nproc=10000:10000\"]\npids_limit = 0\n[engine]\ncgroup_manager = \"cgroupfs\"\n")
	c.write(t, "/etc/containers/storage.conf", "[storage]\ndriver = \"overlay\"\ngraphroot = \"/tmp/containers\"\nrunroot = \"/run/containers/storage\"\n") // no overlay is on top of another
	c.run(t, "podman", "load", "--quiet", "--input", c.put(t, archive, "image.tar"))
}

// place has containers serve the first version of greet, and late, which has started once there is /srv/start.
func (c *containers) place(t *testing.T) {
	t.Helper()
	c.run(t, "sh", "-ec", "cd /root; rm -rf handlers conf srv; mkdir handlers conf srv; cp greet1.so handlers/greet.so; cp late.so handlers")
}

// started has late start.
func (c *containers) started(t *testing.T) { t.Helper(); c.write(t, "/root/srv/start", "") }

// start starts a container as Kubernetes does, with what more podman run is told.
func (c *containers) start(t *testing.T, name string, more ...string) {
	t.Helper()
	args := append([]string{"podman", "run", "--detach", "--name", name, "--network", "host", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges",
		"--volume", "/root/handlers:" + handlers + ":ro", "--volume", "/root/conf:/etc/plugserver/plugserverd.conf.d:ro", "--volume", "/root/srv:/srv:ro"}, more...)
	c.run(t, append(args, c.image)...)
	t.Cleanup(func() { c.run(t, "podman", "rm", "--force", "--time", "0", name) })
}

// in runs a command in a container.
func (c *containers) in(t *testing.T, name string, args ...string) string {
	t.Helper()
	return c.run(t, append([]string{"podman", "exec", name}, args...)...)
}

// ready is what /readyz says.
func (c *containers) ready() (status int) {
	out, _ := c.try("curl", "--silent", "--max-time", "5", "--output", "/dev/null", "--write-out", "%{http_code}", "http://127.0.0.1:9464/readyz")
	status, _ = strconv.Atoi(out)
	return status
}

// records are the lines that a container has printed to stdout, each of them JSON; to stderr it has printed nothing.
func (c *containers) records(t *testing.T, name string) (all []map[string]any) {
	t.Helper()
	cmd := c.command(context.Background(), "podman", "logs", name)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("logs: %v; on stderr: %s", err, &stderr)
	}
	for line := range strings.Lines(string(out)) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil || r["msg"] == nil || r["level"] == nil || r["time"] == nil {
			t.Errorf("on stdout is %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// logged is whether a message is among them.
func (c *containers) logged(t *testing.T, name, message string) bool {
	t.Helper()
	return slices.ContainsFunc(c.records(t, name), func(r map[string]any) bool {
		msg, _ := r["msg"].(string)
		return strings.Contains(msg, message)
	})
}

// wantLogged fails the test unless it is.
func (c *containers) wantLogged(t *testing.T, name, message string) {
	t.Helper()
	if !c.logged(t, name, message) {
		t.Errorf("the log does not have %q:\n%s", message, c.run(t, "podman", "logs", name))
	}
}

// asItIs is what the image says of itself.
func (c *containers) asItIs(t *testing.T) {
	const want = `10001:10001 ["/usr/sbin/plugserverd"] {"8080/tcp":{},"9464/tcp":{}} {"/state":{}} MIT`
	if got := c.run(t, "podman", "image", "inspect", "--format",
		`{{.User}} {{json .Config.Entrypoint}} {{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{index .Labels "org.opencontainers.image.licenses"}}`, c.image); got != want {
		t.Errorf("it is %s\nwant %s", got, want)
	}
	t.Log(c.run(t, "podman", "images"))
}

// life is that of a container: nothing is asked of it before it is ready, handlers change under load, and it ends in order.
func (c *containers) life(t *testing.T, next string) {
	c.place(t)
	c.start(t, "life")
	eventually(t, "a handler starts", func() bool { return c.logged(t, "life", "late waits") })
	status := 0
	eventually(t, "/readyz answers", func() bool { status = c.ready(); return status != 0 })
	if status != 503 {
		t.Errorf("while a handler starts /readyz says %d", status)
	}
	c.started(t)
	eventually(t, "/readyz says 200", func() bool { return c.ready() == 200 })
	c.want(t, "/late", 200, "late")
	c.want(t, "/greet", 200, "one")
	first := c.in(t, "life", "cat", "/proc/1/status")
	for _, want := range []string{"Name:\tplugserverd", "Uid:\t10001\t10001\t10001\t10001", "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(first, want) {
			t.Errorf("its first process has no %q:\n%s", want, first)
		}
	}
	c.fail(t, "podman", "exec", "life", "touch", "/etc/x")

	// What plugserverctl says, in there, and what is set by a file that is mounted.
	if out := c.in(t, "life", "plugserverctl", "status"); !strings.Contains(out, "greet  live") || strings.Contains(out, "not confined") {
		t.Errorf("status:\n%s", out)
	}
	c.write(t, "/root/conf/greet.conf", "[Handler greet]\nMemoryMax=256M\n")
	c.run(t, "podman", "kill", "--signal", "HUP", "life")
	eventually(t, "SIGHUP has the settings read", func() bool {
		return strings.Contains(c.in(t, "life", "plugserverctl", "show", "greet"), "MemoryMax=256M")
	})

	if n := c.load(t, "/greet", func() {
		c.run(t, "cp", next, "/root/handlers/.new")
		c.run(t, "mv", "/root/handlers/.new", "/root/handlers/greet.so")
		eventually(t, "the new version answers", func() bool { _, body := c.get("/greet"); return body == "two" })
	}); n.failed() > 0 || n.Refused > 0 {
		t.Errorf("%d requests failed, %d connections were refused", n.failed(), n.Refused)
	}

	// Whoever has entered it leaves no dead behind.
	c.in(t, "life", "sh", "-c", "(sleep 0.1 &)")
	eventually(t, "it has no zombies", func() bool {
		out := c.in(t, "life", "sh", "-c", `grep -l '^State:.Z' /proc/[0-9]*/status; grep -l '^Name:.sleep$' /proc/[0-9]*/status; true`)
		return out == ""
	})

	c.want(t, "/greet/slow", 200, "two") // which prints, and logs
	end := c.held(t, "/late")
	eventually(t, "the request is there", func() bool {
		return strings.Contains(c.in(t, "life", "plugserverctl", "metrics"), `plugserver_requests_in_flight{handler="late"} 1`)
	})
	c.run(t, "podman", "kill", "--signal", "TERM", "life")
	eventually(t, "while it ends /readyz says 503", func() bool { return c.ready() == 503 })
	if got := end(); !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "late") {
		t.Errorf("the request under way is answered %q", got)
	}
	if code := c.run(t, "podman", "wait", "life"); code != "0" {
		t.Errorf("it has exited with %s", code)
	}
	c.wantLogged(t, "life", "slowly")
	c.wantLogged(t, "life", "stopped")
}

// held is a request whose body comes once end is called, which returns the answer.
func (c *containers) held(t *testing.T, path string) (end func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := c.command(ctx, "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/8080
printf 'POST %s HTTP/1.1\r\nHost: box\r\nContent-Length: 1\r\nConnection: close\r\n\r\n' "$0" >&3
read -r _
printf x >&3
cat <&3`, path)
	var answer strings.Builder
	cmd.Stdout, cmd.Stderr = &answer, &answer
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	over := sync.OnceFunc(func() { in.Close(); cmd.Wait() })
	t.Cleanup(over)
	return func() string { over(); return answer.String() }
}

// withoutLandlock is a container whose runtime knows nothing of Landlock: it serves, and says so. And the end of its first
// process is the end of all.
func (c *containers) withoutLandlock(t *testing.T) {
	profile, err := os.ReadFile(filepath.Join(c.root, "usr/share/containers/seccomp.json"))
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "/root/seccomp.json", regexp.MustCompile(`"landlock_[a-z_]+",\s*`).ReplaceAllString(string(profile), ""))
	c.place(t)
	c.started(t)
	c.start(t, "plain", "--security-opt", "seccomp=/root/seccomp.json")
	eventually(t, "/readyz says 200", func() bool { return c.ready() == 200 })
	c.want(t, "/greet", 200, "one")
	if out := c.in(t, "plain", "plugserverctl", "status"); !strings.Contains(strings.Join(strings.Fields(out), " "), "refused by what runs this container") {
		t.Errorf("status:\n%s", out)
	}
	c.wantLogged(t, "plain", "handlers are not confined whole here")

	group := "/proc/" + c.run(t, "podman", "inspect", "--format", "{{.State.Pid}}", "plain") + "/ns/pid"
	space := c.run(t, "readlink", group)
	inside := func() string {
		out, _ := c.try("sh", "-c", "for p in /proc/[0-9]*; do [ \"$(readlink $p/ns/pid)\" != '"+space+"' ] || cat $p/comm; done")
		return out
	}
	if n := strings.Count(inside(), "plugserver-cell"); n < 2 {
		t.Errorf("in there are %d cells:\n%s", n, inside())
	}
	c.run(t, "podman", "kill", "--signal", "KILL", "plain")
	eventually(t, "all of it is gone", func() bool { return inside() == "" })
}

// play has podman run the Pod of an example for Kubernetes, where there is no network between Pods and no control groups
// have controllers.
func (c *containers) play(t *testing.T, example string, replace ...string) {
	t.Helper()
	text, err := os.ReadFile("../kubernetes/" + example)
	if err != nil {
		t.Fatal(err)
	}
	pod := strings.NewReplacer(append(replace, "registry.example.com/plugserver:0.1.0-1", c.image, "replicas: 2", "replicas: 1",
		"automountServiceAccountToken: false", "hostNetwork: true")...).Replace(string(text))
	pod = regexp.MustCompile(`(?m)^ +resources:\n +requests:\n(?: +(?:cpu|memory): \S+\n)+`).ReplaceAllString(pod, "")
	c.write(t, "/root/"+example, pod)
	c.run(t, "podman", "kube", "play", "--replace", "/root/"+example)
	eventually(t, "/readyz says 200", func() bool { return c.ready() == 200 })
}

// kubernetes plays the examples: with an image volume, and with a tag that is followed, whose new version is live under load.
func (c *containers) kubernetes(t *testing.T, greet []string) {
	c.run(t, "mkdir", "-p", "/etc/plugserver/sync.d")
	credentials := store(t, c.box)
	c.run(t, "cp", credentials, "/root/shop.json")
	push := func(so string, args ...string) {
		t.Helper()
		c.run(t, "cp", so, "/root/greet.so")
		ctl := []string{"podman", "run", "--rm", "--network", "host", "--user", "0", "--volume", "/root:/root", "--entrypoint", "plugserverctl", c.image, "push", "--credentials", "/root/shop.json"}
		c.run(t, append(append(ctl, args...), "/root/greet.so")...)
	}
	for i, want := range []string{"one", "two"} {
		ref := fmt.Sprint("127.0.0.1:5000/shop:v", i)
		push(greet[i], "--image", ref)
		c.run(t, "podman", "pull", "--quiet", "--tls-verify=false", "--authfile", credentials, ref)
		c.play(t, "plugserver.yaml", "registry.example.com/shop:v1", ref)
		c.want(t, "/greet", 200, want)
	}
	c.run(t, "podman", "kube", "down", "--force", "/root/plugserver.yaml")

	const ref = "127.0.0.1:5000/shop:prod"
	push(greet[0], ref)
	c.run(t, "chmod", "644", "/root/shop.json") // the image's user reads it
	c.play(t, "sync.yaml", "sync registry.example.com/shop:prod", "sync --credentials /etc/plugserver/plugserverd.conf.d/shop.json "+ref, "sleep 30", "sleep 1", "pause=5", "pause=1",
		"        - name: state\n          emptyDir: {}\n", "        - name: state\n          emptyDir: {}\n        - name: secret\n          hostPath: {path: /root/shop.json}\n",
		"            - name: handlers\n              subPath: handlers\n", "            - name: secret\n              mountPath: /etc/plugserver/plugserverd.conf.d/shop.json\n            - name: handlers\n              subPath: handlers\n")
	defer c.run(t, "podman", "kube", "down", "--force", "/root/sync.yaml")
	eventually(t, "what the tag names answers", func() bool { _, body := c.get("/greet"); return body == "one" })
	c.run(t, "podman", "exec", "plugserver-pod-sync", "test", "-e", "/state/synced")
	if n := c.load(t, "/greet", func() {
		push(greet[1], ref)
		eventually(t, "the new version answers", func() bool { _, body := c.get("/greet"); return body == "two" })
	}); n.failed() > 0 || n.Refused > 0 {
		t.Errorf("%d requests failed, %d connections were refused", n.failed(), n.Refused)
	}
}
