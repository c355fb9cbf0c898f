package testbed

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Registry is an OCI registry, Debian's docker-registry, on loopback and in the clear.
type Registry struct {
	Addr string // such as 127.0.0.1:5000; it stays over Stop and Start
	Data string // its folder, where Blob finds files

	tb      TB
	extra   string
	cmd     *exec.Cmd
	drained chan struct{}
}

// RegistryUser and RegistryPassword are let in where a Registry wants credentials.
const RegistryUser, RegistryPassword = "box", "secret"

// RegistryHtpasswd is the two, as htpasswd -B writes them at the least cost.
const RegistryHtpasswd = RegistryUser + ":$2a$04$uPBT2KLTmRHrY/gYzZsx1ep9ioaCPPv8i8L7zaoTsFCqYXjqYqh9q\n"

// NeedRegistry skips a test where Debian's package is not installed.
func NeedRegistry(tb Skipper) {
	tb.Helper()
	Need(tb, "there is no registry to test with: apt-get install docker-registry skopeo", "docker-registry", "skopeo")
}

// StartRegistry returns once it serves. Where it is closed, it wants credentials.
func StartRegistry(tb TB, closed bool) *Registry {
	tb.Helper()
	r := &Registry{tb: tb, Addr: "127.0.0.1:0", Data: NewDir(tb)}
	if closed {
		file := filepath.Join(r.Data, "htpasswd")
		if err := os.WriteFile(file, []byte(RegistryHtpasswd), 0o600); err != nil {
			tb.Fatalf("%v", err)
		}
		r.extra = fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}\n", file)
	}
	r.Start()
	tb.Cleanup(r.Stop)
	return r
}

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// Start returns once it serves, with what it held before.
func (r *Registry) Start() {
	r.tb.Helper()
	config := filepath.Join(r.Data, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q, secret: x}\n%s", r.Data, r.Addr, r.extra)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		r.tb.Fatalf("%v", err)
	}
	r.cmd = exec.Command("docker-registry", "serve", config)
	said, err := r.cmd.StderrPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		r.tb.Fatalf("%v", err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			r.Addr, r.drained = m[1], make(chan struct{})
			go func() {
				defer close(r.drained)
				for lines.Scan() {
				}
			}()
			return
		}
	}
	r.cmd.Process.Kill()
	r.tb.Fatalf("docker-registry: %v", r.cmd.Wait())
}

// Stop kills it.
func (r *Registry) Stop() {
	if r.cmd != nil {
		r.cmd.Process.Kill()
		<-r.drained
		r.cmd.Wait()
		r.cmd = nil
	}
}

// Blob is the file in which it keeps the content of a digest.
func (r *Registry) Blob(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(r.Data, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
}
