package catalogue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/badbuild"
	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

const (
	autoSuffix = ".auto" // of the file of a cell that nobody asked for by name
	tempPrefix = ".tmp-"
	tempAge    = time.Hour // after which nobody writes to a temporary file any more
)

// Add copies the cell at path into the folder of our own. One of the same
// content that is there already does instead. auto says that Keep may delete
// it. The error is a *refusal.Error where the file is no cell for us.
func (c *Catalogue) Add(path string, auto bool) (Binary, error) {
	name, err := c.add(path, auto, true)
	if err != nil {
		return Binary{}, err
	}
	for _, k := range c.List() {
		if k.Origin == Own && k.Name == name {
			return k, nil
		}
	}
	return Binary{}, fmt.Errorf("add cell %q: it is gone again: %w", path, fs.ErrNotExist)
}

// Adopt keeps a copy of the packaged cell among our own: when the package is
// replaced by one that another Go release built, there is still a cell for the
// plugins of today. It also deletes what an interrupted Add left behind.
func (c *Catalogue) Adopt() error {
	entries, _ := os.ReadDir(c.cfg.Own)
	for _, e := range entries {
		if info, err := e.Info(); strings.HasPrefix(e.Name(), tempPrefix) && err == nil && time.Since(info.ModTime()) > tempAge {
			os.Remove(filepath.Join(c.cfg.Own, e.Name()))
		}
	}
	name, err := c.add(c.cfg.Packaged, true, false) // at each start: it is looked at when it is chosen
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.adopted = name
	c.mu.Unlock()
	return nil
}

// add returns the cell's name. sure says that one that is there is read.
func (c *Catalogue) add(path string, auto, sure bool) (name string, err error) {
	src, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("add cell: %w", err)
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return "", fmt.Errorf("add cell: %w", err)
	}
	if !st.Mode().IsRegular() {
		return "", badfile.NotRegular(st.Mode())
	}
	sum, err := copyTo(io.Discard, src)
	if err != nil {
		return "", fmt.Errorf("add cell: %w", err)
	}
	if name, ok := c.find(sum, auto, sure); ok {
		return name, nil
	}
	if err := os.MkdirAll(c.cfg.Own, 0o755); err != nil {
		return "", fmt.Errorf("add cell: %w", err)
	}
	temp, err := atomicfile.Create(c.cfg.Own, tempPrefix, 0o755) // a cell is no secret
	if err != nil {
		return "", fmt.Errorf("add cell: %w", err)
	}
	defer temp.Discard()
	copied, err := copyTo(temp, src)
	if err == nil && copied != sum {
		err = errors.New("it is being written to")
	}
	if err == nil {
		err = os.Chtimes(temp.Name(), time.Time{}, st.ModTime()) // the newest is the one built last
	}
	if err != nil {
		return "", fmt.Errorf("add cell %q: %w", path, err)
	}
	info, refused, _ := inspect(temp.Name())
	if refused != nil {
		return "", refused
	}
	name = nameOf(info, sum)
	file := name
	if auto {
		file += autoSuffix
	}
	if err := temp.Commit(filepath.Join(c.cfg.Own, file)); err != nil {
		return "", fmt.Errorf("add cell: %w", err)
	}
	return name, nil
}

// find looks for a cell of our own by the sum in its name. One that somebody
// asks for now is not deleted any more.
func (c *Catalogue) find(sum string, auto, sure bool) (name string, ok bool) {
	for _, k := range c.List() {
		if k.Origin != Own || k.Ignored != nil || !strings.HasSuffix(k.Name, "-"+sum) || sure && !c.genuine(k) {
			continue
		}
		if k.Auto && !auto {
			if os.Rename(k.Path, strings.TrimSuffix(k.Path, autoSuffix)) != nil {
				continue
			}
		}
		return k.Name, true
	}
	return "", false
}

// digest is that of the content in a name that nameOf has made.
var digest = regexp.MustCompile(`-([0-9a-f]{12})$`)

// genuine reports whether a cell is what it was when it was added. One that is not is ignored from now on.
func (c *Catalogue) genuine(k Binary) bool {
	m := digest.FindStringSubmatch(k.Name)
	c.mu.Lock()
	was := c.known[k.Path]
	c.mu.Unlock()
	if k.Origin != Own || m == nil || was.genuine {
		return true
	}
	sum := ""
	src, err := os.OpenFile(k.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		sum, err = copyTo(io.Discard, src)
		src.Close()
	}
	if refusal.Passing(err) {
		return true // whoever starts it is told
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.known[k.Path]; now.id == was.id {
		now.genuine = sum == m[1]
		if !now.genuine {
			now.cell.Ignored = badbuild.AlteredCell(k.Name, k.Path)
		}
		c.known[k.Path] = now
	}
	return sum == m[1]
}

// copyTo copies all of src and returns the beginning of its SHA-256, in hex.
func copyTo(dst io.Writer, src *os.File) (sum string, err error) {
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(dst, hash), src)
	return hex.EncodeToString(hash.Sum(nil))[:12], err
}

// Remove deletes a cell of our own. Processes that run it are not disturbed.
func (c *Catalogue) Remove(name string) error {
	for _, k := range c.List() {
		switch {
		case k.Name != name:
		case k.Origin != Own:
			return fmt.Errorf("remove cell %q: it belongs to a package, which alone removes it", name)
		default:
			if err := os.Remove(k.Path); err != nil {
				return fmt.Errorf("remove cell: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("remove cell %q: there is no such cell in %q: %w", name, c.cfg.Own, fs.ErrNotExist)
}

// Keep deletes the cells that came by themselves and that none of the plugins,
// which are all that may be served now or later, is loaded by. The copy of the
// packaged cell stays, and so does a cell younger than age: it may be for a
// plugin that is on its way. It returns the names of those that it deleted.
func (c *Catalogue) Keep(plugins []*elfplug.Info, age time.Duration) (deleted []string, err error) {
	cells := c.List()
	needed := make(map[string]bool) // by path
	var others []Binary             // without the packaged one, which may be gone tomorrow
	for _, k := range cells {
		if k.Origin != Packaged {
			others = append(others, k)
		}
	}
	for _, p := range plugins {
		for _, from := range [][]Binary{cells, others} {
			if k, refused := c.choose(p, from); refused == nil {
				needed[k.Path] = true
			}
		}
	}
	c.mu.Lock()
	adopted := c.adopted
	c.mu.Unlock()
	var errs []error
	for _, k := range cells {
		if !k.Auto || needed[k.Path] || k.Name == adopted || time.Since(k.Modified) < age {
			continue
		}
		if err := os.Remove(k.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove cell: %w", err))
			continue
		}
		deleted = append(deleted, k.Name)
	}
	return deleted, errors.Join(errs...)
}

// nameOf tells a cell's release and flags, as long as they are short, and its
// content: "go1.25.4-race-trimpath-0123456789ab".
func nameOf(info *elfplug.Info, sum string) string {
	words := []string{elfplug.Release(info.GoVersion)}
	settings := info.Decisive()
	for _, name := range []string{"GOAMD64", "GOARM64"} {
		if v := info.Settings[name]; v != "" && v != "v1" && v != "v8.0" {
			settings = append(settings, elfplug.Setting{Name: "-" + name, Value: v})
		}
	}
	for _, s := range settings {
		word := strings.TrimPrefix(s.Name, "-")
		if v := s.Value; v != "true" && len(v) <= 20 && !strings.ContainsFunc(v, unsuitable) {
			word += "=" + v
		}
		words = append(words, word)
	}
	name := strings.Map(func(r rune) rune {
		if unsuitable(r) && r != '-' {
			return '_'
		}
		return r
	}, strings.Join(words, "-"))
	return name[:min(len(name), 100)] + "-" + sum
}

// unsuitable reports whether a character of a flag has no place in a file's
// name.
func unsuitable(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,", r)
}
