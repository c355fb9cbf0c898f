//go:build systemd

package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// wires are a network of the test's own: a bridge in a namespace, where the laptop, the registry and Prometheus are,
// and a namespace for each box.
type wires struct {
	t     *testing.T
	id    string
	hosts string // a file of the names of all
	text  string
}

const (
	hub   = "192.0.2.1"
	boxes = 3
)

func boxAddr(n int) string { return fmt.Sprintf("192.0.2.1%d", n) }

func wire(t *testing.T, dir string) *wires {
	w := &wires{t: t, id: own(), hosts: filepath.Join(dir, "hosts")}
	w.text = "127.0.0.1 localhost\n" + hub + " registry.example.com prometheus.example.com\n"
	w.netns("")
	host(t, "ip", "-n", w.id, "link", "add", "br0", "type", "bridge")
	host(t, "ip", "-n", w.id, "addr", "add", hub+"/24", "dev", "br0")
	host(t, "ip", "-n", w.id, "link", "set", "br0", "up")
	for n := 1; n <= boxes; n++ {
		ns, port := w.netns(fmt.Sprint("-box", n)), fmt.Sprint("box", n)
		host(t, "ip", "-n", w.id, "link", "add", port, "type", "veth", "peer", "name", "host0", "netns", ns)
		host(t, "ip", "-n", w.id, "link", "set", port, "master", "br0", "up")
		host(t, "ip", "-n", ns, "addr", "add", boxAddr(n)+"/24", "dev", "host0")
		host(t, "ip", "-n", ns, "link", "set", "host0", "up")
		w.text += fmt.Sprintf("%s box-%d\n", boxAddr(n), n)
	}
	if err := os.WriteFile(w.hosts, []byte(w.text), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

// netns makes a namespace.
func (w *wires) netns(suffix string) (name string) {
	name = w.id + suffix
	host(w.t, "ip", "netns", "add", name)
	w.t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	host(w.t, "ip", "-n", name, "link", "set", "lo", "up")
	return name
}

func (w *wires) path(suffix string) string { return "/run/netns/" + w.id + suffix }

// command will run beside the bridge, where it finds all by their names.
func (w *wires) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + w.path(""), "--", "unshare", "--mount", "sh", "-c",
		`mount --bind "$0" /etc/hosts && exec "$@"`, w.hosts}, args...)...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// daemon runs a program there until the test ends, or the function that it returns kills it.
func (w *wires) daemon(log string, args ...string) (kill func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := w.command(ctx, args...)
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	c.Stdout, c.Stderr = f, f
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	kill = func() { cancel(); c.Wait() }
	w.t.Cleanup(kill)
	return kill
}

// laptop is where handlers are made, in a folder.
type laptop struct {
	*wires
	dir string
	env []string
}

// newLaptop has the programs of the package, and trusts an authority.
func newLaptop(t *testing.T, w *wires, deb, dir, authority string) *laptop {
	t.Helper()
	tree, bin := filepath.Join(dir, "tree"), filepath.Join(dir, "bin")
	host(t, "dpkg-deb", "--extract", deb, tree)
	host(t, "mkdir", "-p", bin, filepath.Join(dir, "home"))
	host(t, "cp", tree+"/usr/bin/plugserverctl", tree+"/usr/lib/plugserver/plugserver-cell", bin)
	l := &laptop{wires: w, dir: dir, env: append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+filepath.Join(dir, "home"),
		"SSL_CERT_FILE="+authority, "REGISTRY_AUTH_FILE="+filepath.Join(dir, "auth.json"), "GOFLAGS=", "CGO_ENABLED=1")}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		l.env = append(l.env, name+"="+strings.TrimSpace(host(t, "go", "env", name)))
	}
	return l
}

// try runs what a user types, with what they answer.
func (l *laptop) try(script, stdin string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := l.command(ctx, "sh", "-ec", script)
	c.Dir, c.Env, c.Stdin = l.dir, l.env, strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return string(out), err
}

// run is try of what has to succeed.
func (l *laptop) run(t *testing.T, script, stdin string) string {
	t.Helper()
	out, err := l.try(script, stdin)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// page is docs/fleet.md: what it has to be typed, or written into a file.
type page []string

func readPage(t *testing.T) (p page) {
	t.Helper()
	text, err := os.ReadFile("../../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	block := ""
	for line := range strings.Lines(string(text) + "\n") {
		if code, is := strings.CutPrefix(line, "    "); is {
			block += code
			continue
		}
		if block != "" {
			p = append(p, block)
		}
		block = ""
	}
	return p
}

// block is the first one that begins so. Whoever types it is root.
func (p page) block(t *testing.T, begins string) string {
	t.Helper()
	for _, b := range p {
		if strings.HasPrefix(b, begins) {
			return strings.ReplaceAll(b, "sudo ", "")
		}
	}
	t.Fatalf("docs/fleet.md has nothing that begins with %q", begins)
	return ""
}

// shelf is Debian's registry, with TLS and credentials, at registry.example.com.
type shelf struct {
	*wires
	data, config string
	kill         func()
}

func newShelf(t *testing.T, w *wires, dir, certificate, key string) *shelf {
	t.Helper()
	s := &shelf{wires: w, data: filepath.Join(dir, "registry"), config: filepath.Join(dir, "registry.yml")}
	text := fmt.Sprintf(`version: 0.1
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: ":443", secret: x, tls: {certificate: %s, key: %s}}
auth: {htpasswd: {realm: shop, path: %s}}
`, s.data, certificate, key, filepath.Join(dir, "htpasswd"))
	for file, content := range map[string]string{"registry.yml": text, "htpasswd": testbed.RegistryHtpasswd} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	return s
}

func (s *shelf) start(t *testing.T) {
	t.Helper()
	s.kill = s.daemon(s.config+".log", "docker-registry", "serve", s.config)
	eventually(t, "the registry answers", func() bool {
		return s.command(context.Background(), "curl", "--silent", "--insecure", "https://registry.example.com/v2/").Run() == nil
	})
}

// forget deletes what a state has, and another has not.
func (s *shelf) forget(t *testing.T, state, other string) {
	t.Helper()
	ask := func(method, digest string) []byte {
		t.Helper()
		out, err := s.command(context.Background(), "curl", "--silent", "--show-error", "--fail", "--insecure", "--request", method, "--user", testbed.RegistryUser+":"+testbed.RegistryPassword,
			"--header", "Accept: application/vnd.oci.image.index.v1+json", "https://registry.example.com/v2/shop/manifests/"+digest).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", method, digest, err, out)
		}
		return out
	}
	parts := func(digest string) (all []string) {
		t.Helper()
		var index struct{ Manifests []struct{ Digest string } }
		if err := json.Unmarshal(ask("GET", digest), &index); err != nil || len(index.Manifests) == 0 {
			t.Fatalf("%s: %+v, %v", digest, index, err)
		}
		for _, m := range index.Manifests {
			all = append(all, m.Digest)
		}
		return all
	}
	stays := parts(other)
	for _, digest := range append(parts(state), state) {
		if !slices.Contains(stays, digest) {
			ask("DELETE", digest)
		}
	}
}

// size is how many bytes it has.
func (s *shelf) size(t *testing.T) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(s.data, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, e := d.Info()
			if e != nil {
				return e
			}
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}
