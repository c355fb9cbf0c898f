package live

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// module is a path out of which a thousand others are made: "ay" and "bX" add the
// same to the hash by which the dynamic linker finds symbols (h*33 + c), so that a
// plugin whose path is patched is as good as one built so.
const module = "bench.example/" + "ayayayayayayayayayayayayay"

const (
	patternSlot = "PATTERN:........................................"
	versionSlot = "VERSION:................................"
)

const source = `package main

import (
	"io"
	"net/http"
	"strings"
)

var (
	pattern = "` + patternSlot + `"
	version = "` + versionSlot + `"
)

func value(s string) string {
	_, v, _ := strings.Cut(s, ":")
	return strings.TrimRight(v, ".")
}

func Handler() (string, http.HandlerFunc) {
	version := value(version)
	return value(pattern), func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, version) }
}
`

// Twins are handlers' files that are made out of one build.
type Twins struct {
	built []byte
	file  string // in which it is
	id    []byte // the build ID, which begins with a hash of what it is built of
}

// BuildTwins builds that one, in dir, which it makes.
func BuildTwins(dir string) (*Twins, error) {
	out := filepath.Join(dir, "twin.so")
	if err := goBuild(dir, module, source, out, "-buildmode=plugin", "-ldflags=-s"); err != nil {
		return nil, err
	}
	id, err := exec.Command("go", "tool", "buildid", out).Output()
	if err != nil {
		return nil, fmt.Errorf("read a plugin's build ID: %w", err)
	}
	built, err := os.ReadFile(out)
	return &Twins{built, out, bytes.TrimSpace(id)}, err
}

// goBuild builds a module of one source in dir, which it makes, as users build their plugins.
func goBuild(dir, module, source, out string, flags ...string) error {
	err := os.Mkdir(dir, 0o700)
	for name, text := range map[string]string{"go.mod": "module " + module + "\n\ngo 1.25\n", "main.go": source} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"build", "-o", out}, flags...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", module, err, text)
	}
	return nil
}

// Size is a twin's, in bytes.
func (t *Twins) Size() int { return len(t.built) }

// Make makes the n-th of up to 8192, which serves "/name" with the version.
func (t *Twins) Make(n int, name, version string) []byte {
	b := bytes.Clone(t.built)
	fill := func(slot, kind, value string) {
		at := bytes.Index(b, []byte(slot))
		copy(b[at:], kind+value+strings.Repeat(".", len(slot)-len(kind)-len(value)))
	}
	fill(patternSlot, "PATTERN:", "/"+name)
	fill(versionSlot, "VERSION:", version)
	hash := sha256.Sum256([]byte(name + " " + version))
	id := append(fmt.Appendf(nil, "%x", hash[:10]), t.id[20:]...) // no two builds have one in common
	b = bytes.ReplaceAll(b, t.id, id)
	own := "bench.example/"
	for bit := range 13 {
		own += [2]string{"ay", "bX"}[n>>bit&1]
	}
	return bytes.ReplaceAll(b, []byte(module), []byte(own))
}

// Write writes a twin into a file. Where the file system has files share what they have in common (FICLONE, ioctl_ficlone(2)), it
// takes next to no room.
func (t *Twins) Write(path string, content []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	from, err := os.Open(t.file)
	if err != nil {
		return err
	}
	defer from.Close()
	if len(content) != len(t.built) || unix.IoctlFileClone(int(f.Fd()), int(from.Fd())) != nil {
		_, err = f.Write(content)
		return err
	}
	const block = 4096
	for at := 0; at < len(content); at += block {
		end := min(at+block, len(content))
		if bytes.Equal(content[at:end], t.built[at:end]) {
			continue
		}
		if _, err := f.WriteAt(content[at:end], int64(at)); err != nil {
			return err
		}
	}
	return nil
}
