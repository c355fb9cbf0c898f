package elfplug

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// The real tests build plugins and programs that open them with the go
// command, and compare our verdict with plugin.Open's.

const hostSource = `package main

import (
	"fmt"
	"net/http"
	"os"
	"plugin"
	"strings"
)

func main() {
	_, err := plugin.Open(os.Args[1])
	fmt.Println(strings.ToUpper("opened"), err, http.StatusOK)
	if err != nil {
		os.Exit(3)
	}
}
`

const smallHostSource = `package main

import (
	"fmt"
	"os"
	"plugin"
	"strings"
)

func main() {
	_, err := plugin.Open(os.Args[1])
	fmt.Println(strings.ToUpper("opened"), err)
	if err != nil {
		os.Exit(3)
	}
}
`

// tinySource spares the tests building net/http for every set of flags.
const tinySource = `package main

import "strings"

type Exported struct{}

func (Exported) Method()         {}
func (*Exported) PointerMethod() {}

func Generic[T any](t T) T { return t }

var (
	Variable int
	private  int
)

func Handler() string {
	private++
	Exported{}.Method()
	new(Exported).PointerMethod()
	f := func() string { return strings.ToUpper(Generic("a")) }
	return f()
}

func unexported() {}

func main() { unexported() }
`

const handlerSource = `package main

import "net/http"

func Handler() (string, func(http.ResponseWriter, *http.Request)) {
	return "/hello", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("Hello World!")) }
}
`

// A workshop is a folder of modules, shared by all tests of a run.
type workshop struct{ dir string }

var workshopDir string // set once there is one

var theWorkshop = sync.OnceValues(func() (*workshop, error) {
	dir, err := os.MkdirTemp("", "elfplug")
	if err != nil {
		return nil, err
	}
	workshopDir = dir
	w := &workshop{dir}
	for name, text := range map[string]string{
		"go.mod":               "module example.com/w\n\ngo 1.25\n",
		"host/main.go":         hostSource,
		"smallhost/main.go":    smallHostSource,
		"tiny.v2/main.go":      tinySource,
		"handler/main.go":      handlerSource,
		"empty/main.go":        "package main\n\nvar unexported int\n",
		"named/go.mod":         "module main\n\ngo 1.25\n",
		"named/main.go":        tinySource,
		"cshared/main.go":      "package main\n\nimport \"C\"\n\n//export Handler\nfunc Handler() {}\n\nfunc main() {}\n",
		"overlay/overlay.json": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return w, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if workshopDir != "" {
		os.RemoveAll(workshopDir)
	}
	os.Exit(code)
}

func shop(tb testing.TB) *workshop {
	tb.Helper()
	if testing.Short() {
		tb.Skip("builds plugins")
	}
	if runtime.GOOS != "linux" {
		tb.Skip("plugins of this system are no ELF files")
	}
	w, err := theWorkshop()
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// run runs a command line of sh(1) in a folder of the workshop, without the
// settings that the one who runs the tests may have.
func (w *workshop) run(dir, line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = filepath.Join(w.dir, dir)
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOFIPS140", "GOTOOLCHAIN", "GOWORK", "GODEBUG":
		default:
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "GOFLAGS=-buildvcs=false", "GOWORK=off", "GOENV=off", "CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// build builds pkg into the workshop and returns the file's path. before is
// what the go command's environment gets.
func (w *workshop) build(tb testing.TB, dir, name, before, flags, pkg string) string {
	tb.Helper()
	path := filepath.Join(w.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path // by an earlier round of -count
	}
	line := fmt.Sprintf("%s go build %s -o '%s' %s", before, flags, path, pkg)
	if out, err := w.run(dir, line); err != nil {
		tb.Fatalf("%s: %v\n%s", line, err, out)
	}
	return path
}

// opens reports whether host's plugin.Open accepts the plugin.
func (w *workshop) opens(host, plugin string) (bool, string) {
	out, err := w.run(".", "'"+host+"' '"+plugin+"'")
	return err == nil, out
}

// verdict is what a supervisor would decide from the files alone.
func verdict(plugin string, cell *Info) (*Info, error) {
	p, err := InspectFile(plugin)
	if err != nil {
		return nil, err
	}
	if r := Compatible(p, cell); r != nil {
		return p, r
	}
	return p, nil
}

type realPlugin struct {
	name, dir, before, flags, pkg string
	reason                        string // in the refusal by a plain cell; "" if it loads
	mends                         bool   // the fix's command line makes one that loads
}

func realPlugins(overlay string) []realPlugin {
	const tiny = "./tiny.v2"
	plugins := []realPlugin{
		{name: "plain", pkg: tiny},
		{name: "stripped", flags: "'-ldflags=-s -w'", pkg: tiny},
		{name: "files", pkg: "tiny.v2/main.go"},
		{name: "tags", flags: "-tags=anything", pkg: tiny},
		{name: "own-gcflags", flags: "'-gcflags=-N -l'", pkg: tiny},
		{name: "trimpath", flags: "-trimpath", pkg: tiny, reason: "have -trimpath, want no -trimpath", mends: true},
		{name: "race", flags: "-race", pkg: tiny, reason: "have -race, want no -race", mends: true},
		{name: "gcflags", flags: "'-gcflags=all=-N -l'", pkg: tiny, reason: `have -gcflags="all=-N -l", want no -gcflags`, mends: true},
		{name: "files-gcflags", flags: "'-gcflags=all=-N -l'", pkg: "tiny.v2/main.go", reason: "want no -gcflags"},
		{name: "experiment", before: "GOEXPERIMENT=jsonv2", pkg: tiny, reason: "have GOEXPERIMENT=jsonv2, want no GOEXPERIMENT", mends: true},
		{name: "patched", flags: "-overlay='" + overlay + "'", pkg: tiny, reason: "differs in strings", mends: true},
		{name: "handler", pkg: "./handler"},
		{name: "fips", before: "GOFIPS140=v1.0.0", pkg: "./handler", reason: "have GOFIPS140=v1.0.0", mends: true},
		{name: "named-main", dir: "named", pkg: ".", reason: "its package path main is also a package of the cell"},
		{name: "renamed", flags: "-ldflags=-pluginpath=hot/abc", pkg: tiny, reason: "-ldflags=-pluginpath"},
		{name: "renamed-twice", flags: "-ldflags=-pluginpath=hot/abc -gcflags=-p=hot/abc", pkg: tiny},
		{name: "c-shared", flags: "-buildmode=c-shared", pkg: "./cshared", reason: "-buildmode=c-shared"},
		{name: "pie", flags: "-buildmode=pie", pkg: tiny, reason: "-buildmode=pie"},
		{name: "program", flags: "-buildmode=exe", pkg: tiny, reason: "-buildmode=exe"},
	}
	if runtime.GOARCH == "amd64" && len(lacks("v2", hasFeature)) == 0 {
		plugins = append(plugins, realPlugin{name: "amd64-v2", before: "GOAMD64=v2", pkg: tiny})
	}
	return plugins
}

// overlay makes the go command build a patched package strings.
func (w *workshop) overlay(tb testing.TB) string {
	tb.Helper()
	goroot, err := w.run(".", "go env GOROOT")
	if err != nil {
		tb.Fatal(goroot, err)
	}
	original := filepath.Join(strings.TrimSpace(goroot), "src", "strings", "builder.go")
	text, err := os.ReadFile(original)
	if err != nil {
		tb.Fatal(err)
	}
	patched := filepath.Join(w.dir, "overlay", "builder.go")
	if err := os.WriteFile(patched, append(text, "\nfunc (b *Builder) Patched() int { return 1 }\n"...), 0o644); err != nil {
		tb.Fatal(err)
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{original: patched}})
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(w.dir, "overlay", "overlay.json")
	if err := os.WriteFile(path, list, 0o644); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TestVerdictIsPluginOpens builds plugins in many ways and two hosts, and asks
// both us and plugin.Open about each pair. Then it runs the command of the fix
// and expects a plugin that loads.
func TestVerdictIsPluginOpens(t *testing.T) {
	w := shop(t)
	host := w.build(t, ".", "host.exe", "", "", "./host")
	cell, err := InspectCell(host)
	if err != nil {
		t.Fatal(err)
	}
	if cell.PluginPath != "" || cell.PkgHashes.Of("net/http") == "" || cell.Settings["-buildmode"] != "exe" {
		t.Fatalf("cell: %+v", cell)
	}
	trimmedHost := w.build(t, ".", "trimmed.exe", "", "-trimpath", "./smallhost")
	trimmedCell, err := InspectCell(trimmedHost)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range realPlugins(w.overlay(t)) {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(c.flags, "-buildmode") {
				c.flags += " -buildmode=plugin"
			}
			path := w.build(t, c.dir, c.name+".so", c.before, c.flags, c.pkg)
			info, err := verdict(path, cell)
			opens, out := w.opens(host, path)
			if opens != (err == nil) {
				t.Fatalf("our verdict: %v; plugin.Open: %s", err, out)
			}
			switch {
			case c.reason == "" && err != nil, c.reason != "" && err == nil:
				t.Fatalf("verdict %v, want %q", err, c.reason)
			case err != nil:
				if r := checkRefusal(t, err); !strings.Contains(r.Reason, c.reason) {
					t.Fatalf("reason %q lacks %q", r.Reason, c.reason)
				}
			}
			if info != nil && c.pkg != "./handler" {
				if want := []string{"Handler", "Variable"}; !slices.Equal(info.Exports, want) {
					t.Errorf("exports %q, want %q", info.Exports, want)
				}
			}
			if _, err := verdict(path, trimmedCell); err == nil || info != nil {
				if opens, out := w.opens(trimmedHost, path); opens != (err == nil) {
					t.Errorf("beside a cell with -trimpath, our verdict: %v; plugin.Open: %s", err, out)
				}
			}
			if c.mends {
				w.follow(t, checkRefusal(t, err).Mend, cell, host)
			}
		})
	}
}

// follow does as the fix says and expects a plugin that loads.
func (w *workshop) follow(t *testing.T, mend string, cell *Info, host string) {
	t.Helper()
	_, line, ok := strings.Cut(mend, ": ")
	if !ok {
		t.Fatalf("no command in %q", mend)
	}
	path := filepath.Join(w.dir, "mended.so")
	defer os.Remove(path)
	if out, err := w.run(".", strings.Replace(line, "NAME.so", "'"+path+"'", 1)); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	if _, err := verdict(path, cell); err != nil {
		t.Errorf("mended by %q: %v", line, err)
	}
	if opens, out := w.opens(host, path); !opens {
		t.Errorf("mended by %q: %s", line, out)
	}
}

func TestNoHandler(t *testing.T) {
	w := shop(t)
	info, err := InspectFile(w.build(t, ".", "empty.so", "", "-buildmode=plugin", "./empty"))
	if err != nil {
		t.Fatal(err)
	}
	if r := info.Contract(); r == nil || !strings.Contains(r.Reason, "it exports nothing") {
		t.Errorf("got %v, exports %q", r, info.Exports)
	}
}

// TestAnotherRelease opens a plugin that another release built: plugin.Open
// ends the process. The release comes from the module proxy.
func TestAnotherRelease(t *testing.T) {
	w := shop(t)
	const other = "go1.25.4"
	if runtime.Version() == other {
		t.Skip("the tests run on that release")
	}
	if out, err := w.run(".", "GOTOOLCHAIN="+other+" go version"); err != nil {
		t.Skipf("no %s here: %s", other, out)
	}
	host := w.build(t, ".", "host.exe", "", "", "./host")
	cell, err := InspectCell(host)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, flags string }{{"other", ""}, {"other-trimpath", "-trimpath"}} {
		path := w.build(t, ".", c.name+".so", "GOTOOLCHAIN="+other, c.flags+" -buildmode=plugin", "./tiny.v2")
		_, err = verdict(path, cell)
		if r := checkRefusal(t, err); r.Reason != "built by another Go release: have "+other+", want "+Release(runtime.Version()) {
			t.Errorf("reason %q", r.Reason)
		} else {
			w.follow(t, r.Mend, cell, host)
		}
		if opens, out := w.opens(host, path); opens || !strings.Contains(out, "fatal error") {
			t.Errorf("plugin.Open of %s: %s", c.name, out)
		}
	}
}

func TestInspectCellRefuses(t *testing.T) {
	w := shop(t)
	empty := filepath.Join(w.dir, "none.exe")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		empty,
		w.build(t, ".", "program.so", "", "-buildmode=exe", "./tiny.v2"), // imports no plugin
		w.build(t, ".", "plain.so", "", "-buildmode=plugin", "./tiny.v2"),
	} {
		if info, err := InspectCell(path); err == nil {
			t.Errorf("%s: %+v", path, info)
		} else if !strings.HasPrefix(err.Error(), "inspect cell ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := InspectCell(filepath.Join(w.dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// TestCompleteAtRealCuts cuts a real plugin at 2,000 places, and at each byte
// of its first and last pages, and zeroes its tail from there.
func TestCompleteAtRealCuts(t *testing.T) {
	w := shop(t)
	whole, err := os.ReadFile(w.build(t, ".", "plain.so", "", "-buildmode=plugin", "./tiny.v2"))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(whole))
	if complete, need, err := Complete(bytes.NewReader(whole), size); !complete || need != size || err != nil {
		t.Fatalf("whole: %v, %d of %d, %v", complete, need, size, err)
	}
	step := size / 2000
	for cut := int64(0); cut < size; {
		complete, need, err := Complete(bytes.NewReader(whole[:cut]), cut)
		if complete || err != nil || need != 0 && need != size || need == 0 && cut >= 64 {
			t.Fatalf("cut at %d of %d: %v, %d, %v", cut, size, complete, need, err)
		}
		if cut >= 64 && cut < size-40 {
			zeroed := &zeroTail{whole, cut}
			if complete, _, err := Complete(zeroed, size); complete || err != nil {
				t.Fatalf("zero from %d of %d: %v, %v", cut, size, complete, err)
			}
		}
		if cut < 4096 || cut > size-4096 {
			cut++
		} else {
			cut = min(cut+step, size-4096+1)
		}
	}
}

// TestBlank takes pages out of a real plugin, as a download in parallel has not
// fetched them yet.
func TestBlank(t *testing.T) {
	whole, err := os.ReadFile(shop(t).build(t, ".", "handler.so", "", "-buildmode=plugin", "./handler"))
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(whole))
	if maybe, surely, err := Blank(bytes.NewReader(whole), size); maybe || surely || err != nil {
		t.Fatalf("whole: %v, %v, %v", maybe, surely, err)
	}
	r := &reads{ReaderAt: bytes.NewReader(whole)}
	if _, err := Inspect(r, size); err != nil {
		t.Fatal(err)
	}
	_, err = Inspect(&reads{ReaderAt: bytes.NewReader(whole), last: r.n - 1}, size) // it is overwritten while it is looked at for zeros
	checkRefusal(t, err)
	im, err := outline(bytes.NewReader(whole), size)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		section       string
		zeros         int64
		maybe, surely bool
	}{
		{".text", 4096, true, true},
		{".gopclntab", 4096, true, true},
		{".dynsym", 8192, true, true},
		{".rela.dyn", 4096, true, true},
		{".rodata", 4096, true, false},
		{".noptrdata", 4096, false, false},
	} {
		s := im.section(tt.section)
		if s == nil {
			continue // as the linker likes
		}
		holed := bytes.Clone(whole)
		at := (int64(s.off) + int64(s.bytes)/2) / 4096 * 4096
		clear(holed[at : at+tt.zeros])
		maybe, surely, err := Blank(bytes.NewReader(holed), size)
		if maybe != tt.maybe || surely != tt.surely || err != nil {
			t.Errorf("%d zeros in %s: %v, %v, %v; want %v, %v", tt.zeros, tt.section, maybe, surely, err, tt.maybe, tt.surely)
		}
		_, err = Inspect(bytes.NewReader(holed), size)
		if refused := errors.As(err, new(*refusal.Error)); refused != tt.surely {
			t.Errorf("%d zeros in %s: inspected: %v", tt.zeros, tt.section, err)
		}
		var zeros Zeros
		zeros.Write(holed)
		_, gaps, besides := InspectBeside(bytes.NewReader(holed), size)
		if besides == nil {
			besides = gaps(&zeros)
		}
		if fmt.Sprint(besides) != fmt.Sprint(err) {
			t.Errorf("%d zeros in %s: beside its reading: %v, want %v", tt.zeros, tt.section, besides, err)
		}
	}
	for _, head := range []int{4, 64, len(whole)} {
		if complete, _, err := Complete(bytes.NewReader(make([]byte, head)), int64(head)); complete || err != nil {
			t.Errorf("%d zeros: %v, %v", head, complete, err)
		}
	}
}

// zeroTail reads as b with zeros from a byte on.
type zeroTail struct {
	b    []byte
	from int64
}

func (z *zeroTail) ReadAt(b []byte, off int64) (int, error) {
	n, err := bytes.NewReader(z.b).ReadAt(b, off)
	if off+int64(n) > z.from {
		clear(b[max(z.from-off, 0):n])
	}
	return n, err
}

// BenchmarkInspect is on the way of every handler that goes live: an 11 MB
// plugin with some 20,000 dynamic symbols.
func BenchmarkInspect(b *testing.B) {
	path := shop(b).build(b, ".", "handler.so", "", "-buildmode=plugin", "./handler")
	for b.Loop() {
		if _, err := InspectFile(path); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkComplete(b *testing.B) {
	f, err := os.Open(shop(b).build(b, ".", "handler.so", "", "-buildmode=plugin", "./handler"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if complete, _, err := Complete(f, st.Size()); !complete || err != nil {
			b.Fatal(complete, err)
		}
	}
}
