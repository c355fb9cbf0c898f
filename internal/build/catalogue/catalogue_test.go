package catalogue

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/cellsource"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

var workshop string // of the cells that the tests share; set once there is one

func TestMain(m *testing.M) {
	code := m.Run()
	if workshop != "" {
		os.RemoveAll(workshop)
	}
	os.Exit(code)
}

// binaries are cells: plain, with another package net, and of another protocol.
type binaries struct{ plain, tagged, foreign string }

var built = sync.OnceValues(func() (b binaries, err error) {
	if workshop, err = os.MkdirTemp("", "cells"); err != nil {
		return b, err
	}
	src := filepath.Join(workshop, "src")
	if err := cellsource.LayOut(src, elfplug.Release(runtime.Version())); err != nil {
		return b, err
	}
	build := func(name string, flags ...string) string {
		out := filepath.Join(workshop, name)
		cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), cellsource.Package)...)
		cmd.Dir = src
		cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=1")
		if text, e := cmd.CombinedOutput(); e != nil {
			err = errors.Join(err, errors.New(string(text)))
		}
		return out
	}
	b.plain = build("plain")
	b.tagged = build("tagged", "-tags=netgo")
	path := filepath.Join(src, "internal", "between", "link", "protocol.go")
	text, e := os.ReadFile(path)
	if e != nil {
		return b, e
	}
	text = []byte(strings.Replace(string(text), "const Protocol = ", "const Protocol = 41 + ", 1))
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return b, err
	}
	b.foreign = build("foreign")
	return b, err
})

func build(t *testing.T) binaries {
	t.Helper()
	b, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shelf is a catalogue over folders of the test's own.
type shelf struct {
	*Catalogue
	binaries
	cfg Config
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	dir := t.TempDir()
	s := &shelf{binaries: build(t), cfg: Config{
		Packaged: filepath.Join(dir, "plugserver-cell"),
		Shared:   filepath.Join(dir, "shared"),
		Own:      filepath.Join(dir, "state", "cells"),
		UID:      uint32(os.Geteuid()),
		Source:   cellsource.Digest(),
	}}
	if err := os.Mkdir(s.cfg.Shared, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Catalogue = New(s.cfg)
	return s
}

func install(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// pluginOf is a plugin that only a cell of the same build loads.
func pluginOf(t *testing.T, cell string) *elfplug.Info {
	t.Helper()
	info, err := elfplug.InspectCell(cell)
	if err != nil {
		t.Fatal(err)
	}
	info.Path, info.PluginPath = "example.com/p", "example.com/p"
	hashes := maps.Collect(info.PkgHashes.All())
	delete(hashes, "main")
	hashes["example.com/p"] = "00"
	info.PkgHashes = elfplug.HashesOf(hashes)
	return info
}

// other changes a plugin as another build would.
func other(p *elfplug.Info, release string, settings map[string]string) *elfplug.Info {
	q := *p
	q.Settings = maps.Clone(p.Settings)
	if release != "" {
		q.GoVersion = release
	}
	maps.Copy(q.Settings, settings)
	hashes := make(map[string]string)
	for pkg := range p.PkgHashes.All() {
		hashes[pkg] = "ff"
	}
	q.PkgHashes = elfplug.HashesOf(hashes)
	return &q
}

func (s *shelf) add(t *testing.T, path string, auto bool) Binary {
	t.Helper()
	k, err := s.Add(path, auto)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func names(cells []Binary) (n []string) {
	for _, k := range cells {
		n = append(n, string(k.Origin)+" "+k.Name)
	}
	return n
}

func TestChoose(t *testing.T) {
	s := newShelf(t)
	p := pluginOf(t, s.plain)
	if _, r := s.Choose(p); r == nil || !strings.HasPrefix(r.Reason, "there is no cell") {
		t.Fatalf("without any cell: %v", r)
	}
	own := s.add(t, s.plain, false)
	if k, r := s.Choose(p); r != nil || k.Path != own.Path {
		t.Fatalf("our own: %+v, %v", k, r)
	}
	install(t, s.foreign, filepath.Join(s.cfg.Shared, "foreign"))
	if k, r := s.Choose(p); r != nil || k.Path != own.Path {
		t.Fatalf("beside one of another protocol: %+v, %v", k, r)
	}
	shared := filepath.Join(s.cfg.Shared, "newer")
	install(t, s.plain, shared)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(shared, later, later); err != nil {
		t.Fatal(err)
	}
	if k, r := s.Choose(p); r != nil || k.Path != shared {
		t.Fatalf("a newer one: %+v, %v", k, r)
	}
	install(t, s.plain, s.cfg.Packaged)
	if k, r := s.Choose(p); r != nil || k.Path != s.cfg.Packaged || k.Origin != Packaged {
		t.Fatalf("the packaged one: %+v, %v", k, r)
	}
}

// The refusal is that of the cell for which the least has to change.
func TestChooseRefuses(t *testing.T) {
	s := newShelf(t)
	p := pluginOf(t, s.plain)
	install(t, s.plain, s.cfg.Packaged)
	s.add(t, s.tagged, false)
	const cell = "; or: build a cell that matches it: plugserverctl cell build NAME.so"
	release := elfplug.Release(p.GoVersion)
	for _, tt := range []struct {
		p            *elfplug.Info
		reason, mend string
	}{
		{other(p, "go1.20.1", nil), "built by another Go release: have go1.20.1, want " + release,
			"build it with: GOTOOLCHAIN=" + release + " go build -buildmode=plugin -o NAME.so example.com/p" + cell},
		{other(p, "", map[string]string{"-race": "true"}), "have -race, want no -race",
			"build it with: go build -buildmode=plugin -race=false -o NAME.so example.com/p" + cell},
		{other(p, "", map[string]string{"-race": "true", "-tags": "netgo"}), "have -race, want no -race",
			"build it with: go build -buildmode=plugin -race=false -tags=netgo -o NAME.so example.com/p" + cell},
		{other(p, "", map[string]string{"-tags": "netgo"}), "built from other sources than its cell", cell},
	} {
		_, r := s.Choose(tt.p)
		if r == nil || !strings.Contains(r.Reason, tt.reason) || !strings.HasSuffix(r.Mends(), tt.mend) {
			t.Errorf("got  %v\nwant %s; %s", r, tt.reason, tt.mend)
		}
	}
}

// What another cell would not mend names none.
func TestChooseRefusesForGood(t *testing.T) {
	s := newShelf(t)
	install(t, s.plain, s.cfg.Packaged)
	p := pluginOf(t, s.plain)
	p.Settings = maps.Clone(p.Settings)
	p.PkgHashes = elfplug.HashesOf(map[string]string{"runtime": p.PkgHashes.Of("runtime"), "main": "00"})
	p.Path, p.PluginPath = "main", "main"
	if _, r := s.Choose(p); r == nil || strings.Contains(r.Mend, "cell build") || !strings.Contains(r.Reason, "package path main") {
		t.Errorf("got %v", r)
	}
}

func TestIgnored(t *testing.T) {
	s := newShelf(t)
	in := func(name string) string { return filepath.Join(s.cfg.Shared, name) }
	for _, name := range []string{"good", "group", "others", "data", "foreigner"} {
		install(t, s.plain, in(name))
	}
	install(t, s.foreign, in("protocol"))
	want := map[string]string{
		"group": "can be written by others", "others": "can be written by others", "data": "not executable",
		"protocol": fmt.Sprintf("another protocol than plugserverd: have %d, want %d", 41+link.Protocol, link.Protocol), "text": "not a cell",
		"folder": "a directory", "link": "a symbolic link", "pipe": "a named pipe", "program": "names no protocol",
	}
	for _, err := range []error{
		os.Chmod(in("group"), 0o775),
		os.Chmod(in("others"), 0o757),
		os.Chmod(in("data"), 0o644),
		os.WriteFile(in("text"), []byte("hello"), 0o755),
		os.Mkdir(in("folder"), 0o755),
		os.Symlink(in("good"), in("link")),
		syscall.Mkfifo(in("pipe"), 0o755),
		os.WriteFile(in(".hidden"), []byte("hello"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(in("foreigner"), 4711, 4711); err != nil {
			t.Fatal(err)
		}
		want["foreigner"] = "can be written by others"
	}
	host := filepath.Join(t.TempDir(), "host.go")
	if err := os.WriteFile(host, []byte("package main\n\nimport (\n\t\"os\"\n\t\"plugin\"\n)\n\nfunc main() { plugin.Open(os.Args[1]) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", in("program"), host).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	good := 0
	for _, k := range s.List() {
		reason, bad := want[k.Name]
		switch {
		case bad && (k.Ignored == nil || !strings.Contains(k.Ignored.Error(), reason)):
			t.Errorf("%s: got %v, want %q", k.Name, k.Ignored, reason)
		case !bad && k.Ignored != nil:
			t.Errorf("%s: got %v", k.Name, k.Ignored)
		case !bad:
			good++
		}
		delete(want, k.Name)
	}
	if good == 0 || len(want) > 0 {
		t.Errorf("%d usable, not listed: %q", good, slices.Collect(maps.Keys(want)))
	}
}

// A file is inspected again only once it changes.
func TestGeneration(t *testing.T) {
	s := newShelf(t)
	first := s.Generation()
	install(t, s.plain, s.cfg.Packaged)
	second := s.Generation()
	if second == first || s.Generation() != second {
		t.Fatalf("%d, %d, %d", first, second, s.Generation())
	}
	if a, b := s.List()[0], s.List()[0]; a.Info == nil || a.Info != b.Info {
		t.Error("inspected again")
	}
	install(t, s.tagged, s.cfg.Packaged)
	if s.Generation() == second {
		t.Error("another file in its place is not noticed")
	}
	if got := s.List()[0].Info.Settings["-tags"]; got != "netgo" {
		t.Errorf("tags %q", got)
	}
	third := s.Generation()
	if err := os.Remove(s.cfg.Packaged); err != nil {
		t.Fatal(err)
	}
	if s.Generation() == third || len(s.List()) != 0 {
		t.Error("a file that is gone is not noticed")
	}
}

func TestAdd(t *testing.T) {
	s := newShelf(t)
	auto := s.add(t, s.tagged, true)
	release := regexp.QuoteMeta(elfplug.Release(runtime.Version()))
	if !regexp.MustCompile(`^`+release+`-tags=netgo-[0-9a-f]{12}$`).MatchString(auto.Name) || !auto.Auto {
		t.Errorf("got %+v", auto)
	}
	if again := s.add(t, s.tagged, true); again.Path != auto.Path {
		t.Errorf("the same content twice: %q", names(s.List()))
	}
	kept := s.add(t, s.tagged, false)
	if kept.Name != auto.Name || kept.Auto || len(s.List()) != 1 {
		t.Errorf("got %+v of %q", kept, names(s.List()))
	}
	if again := s.add(t, s.tagged, true); again.Auto {
		t.Error("what somebody asked for is deleted by itself again")
	}
	info, err := os.Stat(kept.Path)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}

	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, s.foreign, t.TempDir()} {
		var r *refusal.Error
		if _, err := s.Add(path, false); !errors.As(err, &r) {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if _, err := s.Add(text+"missing", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if files, _ := os.ReadDir(s.cfg.Own); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

// A cell of our own that was changed behind its name is not run, whenever that was, and one that is added again takes its place.
func TestAlteredCell(t *testing.T) {
	s := newShelf(t)
	k := s.add(t, s.tagged, true)
	p := pluginOf(t, s.tagged)
	if got, refused := s.Choose(p); refused != nil || got.Path != k.Path {
		t.Fatalf("chose %+v, %v", got, refused)
	}
	before := time.Now().Add(-time.Hour)
	for _, c := range []*Catalogue{s.Catalogue, New(s.cfg)} { // this daemon's, and the next one's
		f, err := os.OpenFile(k.Path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("x"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Chtimes(k.Path, before, before); err != nil {
			t.Fatal(err)
		}
		if got, refused := c.Choose(p); refused == nil {
			t.Errorf("chose %+v", got)
		}
		if list := c.List(); len(list) != 1 || list[0].Ignored == nil || !strings.Contains(list[0].Ignored.Reason, "not what its name says") {
			t.Errorf("there are %+v", list)
		}
	}
	if again := s.add(t, s.tagged, true); again.Ignored != nil {
		t.Errorf("added again: %+v", again)
	}
	if got, refused := s.Choose(p); refused != nil || got.Path != k.Path {
		t.Errorf("chose %+v, %v", got, refused)
	}
}

func TestRemove(t *testing.T) {
	s := newShelf(t)
	install(t, s.plain, s.cfg.Packaged)
	auto := s.add(t, s.tagged, true)
	if err := s.Remove("plugserver-cell"); err == nil || !strings.Contains(err.Error(), "belongs to a package") {
		t.Errorf("got %v", err)
	}
	if err := s.Remove("../plugserver-cell"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := s.Remove(auto.Name); err != nil {
		t.Error(err)
	}
	if got := names(s.List()); !slices.Equal(got, []string{"packaged plugserver-cell"}) {
		t.Errorf("left: %q", got)
	}
}

// An upgrade replaces the packaged cell: the plugins of before keep theirs,
// as long as there are any.
func TestAdoptAndKeep(t *testing.T) {
	s := newShelf(t)
	install(t, s.plain, s.cfg.Packaged)
	old := pluginOf(t, s.plain)
	for range 2 {
		if err := s.Adopt(); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.List(); len(got) != 2 || !got[1].Auto {
		t.Fatalf("adopted: %q", names(got))
	}
	if deleted, err := s.Keep(nil, 0); err != nil || deleted != nil {
		t.Fatalf("the copy of today's packaged cell is gone: %q, %v", deleted, err)
	}

	install(t, s.tagged, s.cfg.Packaged) // the upgrade
	s.Catalogue = New(s.cfg)
	if err := s.Adopt(); err != nil {
		t.Fatal(err)
	}
	k, r := s.Choose(old)
	if r != nil || k.Origin != Own {
		t.Fatalf("chosen after the upgrade: %+v, %v", k, r)
	}
	if k, r := s.Choose(pluginOf(t, s.tagged)); r != nil || k.Origin != Packaged {
		t.Fatalf("chosen for a new plugin: %+v, %v", k, r)
	}
	if deleted, err := s.Keep([]*elfplug.Info{old, pluginOf(t, s.tagged)}, 0); err != nil || deleted != nil {
		t.Fatalf("deleted %q, %v", deleted, err)
	}
	if deleted, err := s.Keep(nil, 0); err != nil || !slices.Equal(deleted, []string{k.Name}) {
		t.Fatalf("deleted %q, %v; want %s", deleted, err, k.Name)
	}
	if got := s.List(); len(got) != 2 || got[0].Origin != Packaged || got[1].Info.Settings["-tags"] != "netgo" {
		t.Errorf("left: %q", names(got))
	}
}

// A cell that somebody asked for stays without any plugin.
func TestKeepLeavesWhatWasAskedFor(t *testing.T) {
	s := newShelf(t)
	kept := s.add(t, s.plain, false)
	auto := s.add(t, s.tagged, true)
	deleted, err := s.Keep(nil, 0)
	if err != nil || !slices.Equal(deleted, []string{auto.Name}) {
		t.Errorf("deleted %q, %v", deleted, err)
	}
	if got := s.List(); len(got) != 1 || got[0].Name != kept.Name {
		t.Errorf("left: %q", names(got))
	}
}

func TestLeftovers(t *testing.T) {
	s := newShelf(t)
	install(t, s.plain, s.cfg.Packaged)
	if err := os.MkdirAll(s.cfg.Own, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{".tmp-old": 2 * tempAge, ".tmp-new": 0} {
		path := filepath.Join(s.cfg.Own, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Adopt(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.cfg.Own, ".tmp-*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != ".tmp-new" {
		t.Errorf("left: %q, %v", left, err)
	}
}
