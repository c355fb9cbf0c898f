package elfplug

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// checkRefusal fails unless err is a refusal that a terminal shows in one line.
func checkRefusal(t *testing.T, err error) *refusal.Error {
	t.Helper()
	r, ok := errors.AsType[*refusal.Error](err)
	if !ok {
		t.Fatalf("not a refusal: %v", err)
	}
	if r.Reason == "" || r.Mend == "" {
		t.Fatalf("refusal without words: %+v", r)
	}
	for _, c := range r.Reason + r.Mend {
		if !unicode.IsPrint(c) {
			t.Fatalf("refusal with a %q: %q", c, r.Error())
		}
	}
	return r
}

func TestInspectSynthetic(t *testing.T) {
	info, err := inspectBytes(goodPlugin().bytes())
	if err != nil {
		t.Fatal(err)
	}
	if info.GoVersion != "go1.26.8" || info.Path != "example.com/h/v1.x" || info.PluginPath != "example.com/h/v1%2ex" {
		t.Errorf("got version %q, path %q, plugin path %q", info.GoVersion, info.Path, info.PluginPath)
	}
	if want := []string{"Handler", "Start", "Var"}; !slices.Equal(info.Exports, want) {
		t.Errorf("exports %q, want %q", info.Exports, want)
	}
	if want := map[string]string{"runtime": "7272727272727272", "strings": "7373737373737373", "example.com/h/v1.x": "6868686868686868"}; !maps.Equal(maps.Collect(info.PkgHashes.All()), want) {
		t.Errorf("hashes %q, want %q", maps.Collect(info.PkgHashes.All()), want)
	}
	if info.Settings["-buildmode"] != "plugin" || info.Settings["GOAMD64"] != "v1" {
		t.Errorf("settings %q", info.Settings)
	}
	if len(info.Modules) != 2 || info.Modules[0].Path != "example.com/h" || info.Modules[1].Version != "v1.2.3" {
		t.Errorf("modules %+v", info.Modules)
	}
	if r := info.Contract(); r != nil {
		t.Errorf("contract: %v", r)
	}
}

// A thousand plugins that are kept have what they have in common once.
func TestHashesAreShared(t *testing.T) {
	of := func() (strings []*byte) {
		info, err := inspectBytes(goodPlugin().bytes())
		if err != nil {
			t.Fatal(err)
		}
		for pkg, hash := range info.PkgHashes.All() {
			strings = append(strings, unsafe.StringData(pkg), unsafe.StringData(hash))
		}
		return strings
	}
	if a, b := of(), of(); !slices.Equal(a, b) {
		t.Error("two of the same have strings of their own")
	}
}

func TestPluginPath(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*synthetic)
		want   string
	}{
		{"built from files", func(s *synthetic) {
			s.modinfo = modinfo("command-line-arguments", "-buildmode=plugin")
			s.hashes = map[string]string{"runtime": "rrrrrrrr", "plugin/unnamed-abc": "hhhhhhhh"}
		}, "plugin/unnamed-abc"},
		{"without go build", func(s *synthetic) { s.modinfo = "" }, "example.com/h/v1%2ex"},
		{"renamed for linker and compiler", func(s *synthetic) { s.modinfo = modinfo("example.com/other") }, "example.com/h/v1%2ex"},
	} {
		s := goodPlugin()
		c.change(&s)
		info, err := inspectBytes(s.bytes())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if info.PluginPath != c.want {
			t.Errorf("%s: plugin path %q, want %q", c.name, info.PluginPath, c.want)
		}
	}
}

type refusedFile struct {
	name string
	file []byte
	want string // in the reason
}

func refusedFiles() []refusedFile {
	with := func(change func(*synthetic)) []byte {
		s := goodPlugin()
		change(&s)
		return s.bytes()
	}
	patched := func(off int, v byte) []byte {
		b := goodPlugin().bytes()
		b[off] = v
		return b
	}
	good := goodPlugin().bytes()
	foreignMachine := elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		foreignMachine = elf.EM_X86_64
	}
	return []refusedFile{
		{"empty", nil, "empty"},
		{"text", []byte("hello, world"), "not an ELF shared object"},
		{"short text", []byte("hi"), "not an ELF shared object"},
		{"source", []byte("package main\n"), "Go source"},
		{"macOS", []byte("\xcf\xfa\xed\xfe............"), "macOS"},
		{"magic alone", []byte("\x7fELF"), "half-copied"},
		{"half", good[:len(good)/2], "half-copied: it ends at byte"},
		{"zero tail", append(slices.Clone(good[:len(good)-300]), make([]byte, 300)...), "half-copied"},
		{"other machine", with(func(s *synthetic) { s.machine = foreignMachine }), "have linux/a"},
		{"odd machine", with(func(s *synthetic) { s.machine = elf.EM_68K }), "EM_68K"},
		{"other class", with(func(s *synthetic) {
			if s.class = elf.ELFCLASS32; runtime.GOARCH == "386" || runtime.GOARCH == "arm" {
				s.class = elf.ELFCLASS64
			}
		}), "built for another machine"},
		{"other system", with(func(s *synthetic) { s.osabi = elf.ELFOSABI_FREEBSD }), "have freebsd/" + runtime.GOARCH + ", want linux/" + runtime.GOARCH},
		{"other order", with(func(s *synthetic) {
			if s.order == binary.ByteOrder(binary.LittleEndian) {
				s.order = binary.BigEndian
			} else {
				s.order = binary.LittleEndian
			}
		}), "built for another machine"},
		{"unknown class", patched(elf.EI_CLASS, 9), "malformed"},
		{"unknown order", patched(elf.EI_DATA, 9), "malformed"},
		{"object", with(func(s *synthetic) { s.kind, s.version = elf.ET_REL, "" }), "an object file, not an ELF shared object"},
		{"C program", with(func(s *synthetic) { s.kind, s.version = elf.ET_EXEC, "" }), "a program, not an ELF shared object"},
		{"core dump", with(func(s *synthetic) { s.kind, s.version = elf.ET_CORE, "" }), "not an ELF shared object"},
		{"C library", with(func(s *synthetic) { s.version = "" }), "not built by Go"},
		{"Go program", with(func(s *synthetic) { s.kind, s.modinfo = elf.ET_EXEC, modinfo("x", "-buildmode=exe") }), "-buildmode=exe"},
		{"Go PIE", with(func(s *synthetic) { s.interp, s.modinfo = true, modinfo("x", "-buildmode=pie") }), "-buildmode=pie"},
		{"Go PIE that does not tell", with(func(s *synthetic) { s.interp, s.modinfo = true, "" }), "not built with -buildmode=plugin"},
		{"c-shared", with(func(s *synthetic) { s.modinfo = modinfo("x", "-buildmode=c-shared") }), "-buildmode=c-shared"},
		{"hostile mode", with(func(s *synthetic) {
			s.modinfo = modinfo("x", "-buildmode=\x1b[31m"+strings.Repeat("a", 999))
		}), `"\x1b[31maaa`},
		{"no hashes", with(func(s *synthetic) { s.hashes = nil }), "not built with -buildmode=plugin"},
		{"no symbols", with(func(s *synthetic) { s.noDynsym = true }), "not built with -buildmode=plugin"},
		{"hash outside its section", with(func(s *synthetic) { s.hashAt = 1 << 20 }), "package hashes"},
		{"hash below its section", with(func(s *synthetic) { s.hashAt = ^uint64(1 << 14) }), "package hashes"},
		{"hash too long", with(func(s *synthetic) { s.hashes["strings"] = strings.Repeat("x", 65) }), "package hashes"},
		{"renamed for the linker alone", with(func(s *synthetic) {
			delete(s.hashes, "example.com/h/v1.x")
			s.hashes["hot/abc"] = "hhhhhhhh"
		}), "-pluginpath"},
		{"bad build information", with(func(s *synthetic) { s.modinfo = modinfo("x", "no equals sign") }), "build information cannot be parsed"},
	}
}

func TestInspectRefuses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the table is for linux")
	}
	for _, c := range refusedFiles() {
		t.Run(c.name, func(t *testing.T) {
			info, err := inspectBytes(c.file)
			if err == nil {
				t.Fatalf("accepted: %+v", info)
			}
			if r := checkRefusal(t, err); !strings.Contains(r.Reason, c.want) {
				t.Errorf("reason %q lacks %q", r.Reason, c.want)
			}
		})
	}
}

func TestOldRelease(t *testing.T) {
	b := goodPlugin().bytes()
	i := bytes.Index(b, []byte("\xff Go buildinf:"))
	b[i+15] = 0 // pointers instead of strings, as before Go 1.18
	b = bytes.ReplaceAll(b, []byte(hashPrefix), []byte(hashPrefixOld))
	info, err := inspectBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	r := Compatible(info, &Info{GoVersion: "go1.26.8"})
	if r == nil || !strings.Contains(r.Reason, "go1.17 or earlier") {
		t.Errorf("got %v", r)
	}
}

func TestContract(t *testing.T) {
	for _, c := range []struct {
		exports []string
		want    string // in the reason; "" for none
	}{
		{[]string{"A", "Handler"}, ""},
		{[]string{"Handlers"}, ""},
		{nil, "it exports nothing"},
		{[]string{"A", "HandlerFunc"}, "it exports A, HandlerFunc"},
		{strings.Split("A B C D E F G I J K L M", " "), "J, K and 2 more"},
	} {
		switch r := (&Info{Exports: c.exports}).Contract(); {
		case r == nil && c.want != "":
			t.Errorf("%q accepted", c.exports)
		case r != nil && (c.want == "" || !strings.Contains(r.Reason, c.want)):
			t.Errorf("%q: %q, want %q", c.exports, r.Reason, c.want)
		case r != nil && !strings.Contains(r.Mend, "func Handler() (string, func(http.ResponseWriter, *http.Request))"):
			t.Errorf("mend %q", r.Mend)
		}
	}
}

// TestCompleteAtAnyCut cuts small files of every class and order at each byte,
// and zeroes their tails.
func TestCompleteAtAnyCut(t *testing.T) {
	for name, whole := range variants() {
		t.Run(name, func(t *testing.T) {
			size := int64(len(whole))
			complete, need, err := Complete(bytes.NewReader(whole), size)
			if !complete || need != size || err != nil {
				t.Fatalf("whole file of %d: %v, %d, %v", size, complete, need, err)
			}
			headSize := int64(64)
			if whole[elf.EI_CLASS] == byte(elf.ELFCLASS32) {
				headSize = 52
			}
			for cut := range size {
				complete, need, err := Complete(bytes.NewReader(whole[:cut]), cut)
				want := size
				if cut < headSize {
					want = 0
				}
				if complete || need != want || err != nil {
					t.Fatalf("cut at %d of %d: %v, %d, %v", cut, size, complete, need, err)
				}
			}
			for cut := headSize; cut < size; cut++ {
				b := append(slices.Clone(whole[:cut]), make([]byte, size-cut)...)
				if bytes.Equal(b[:size-16], whole[:size-16]) {
					break // only the alignment of the last section is left, which nobody reads
				}
				if complete, _, err := Complete(bytes.NewReader(b), size); complete || err != nil {
					t.Fatalf("zero from %d to %d: %v, %v", cut, size, complete, err)
				}
			}
		})
	}
}

func TestCompleteIsNotELF(t *testing.T) {
	for _, s := range []string{"hello, world", "MZ\x00\x00", "hi"} {
		if complete, need, err := Complete(strings.NewReader(s), int64(len(s))); !complete || need != int64(len(s)) || err != nil {
			t.Errorf("%q: %v, %d, %v", s, complete, need, err)
		}
	}
}

// TestCompleteMalformed: what no copying can complete is Inspect's to refuse.
func TestCompleteMalformed(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("offsets are those of ELF64")
	}
	for name, change := range map[string]func([]byte){
		"sections beyond any file": func(b []byte) { binary.LittleEndian.PutUint64(b[40:], 1<<63) },
		"segments beyond any file": func(b []byte) { binary.LittleEndian.PutUint64(b[32:], ^uint64(0)) },
		"too many sections":        func(b []byte) { binary.LittleEndian.PutUint16(b[60:], 0xfeff) },
		"extended numbering":       func(b []byte) { binary.LittleEndian.PutUint16(b[60:], 0) },
		"odd entry size":           func(b []byte) { binary.LittleEndian.PutUint16(b[58:], 1) },
		"no section names":         func(b []byte) { binary.LittleEndian.PutUint16(b[62:], 0xff) },
		"names in another section": func(b []byte) { binary.LittleEndian.PutUint16(b[62:], 1) },
	} {
		b := goodPlugin().bytes()
		change(b)
		if complete, _, err := Complete(bytes.NewReader(b), int64(len(b))); !complete || err != nil {
			t.Errorf("%s: complete %v, %v", name, complete, err)
		}
		_, err := inspectBytes(b)
		if r := checkRefusal(t, err); !strings.Contains(r.Reason, "malformed") {
			t.Errorf("%s: %q", name, r.Reason)
		}
	}
}

// TestShrunk: a file that is overwritten while it is read ends early.
func TestShrunk(t *testing.T) {
	b := goodPlugin().bytes()
	size := int64(len(b))
	for cut := range size {
		if _, err := Inspect(bytes.NewReader(b[:cut]), size); err == nil {
			t.Fatalf("inspected a file that ends at %d of %d", cut, size)
		} else {
			checkRefusal(t, err)
		}
		if complete, _, err := Complete(bytes.NewReader(b[:cut]), size); complete || err != nil {
			t.Fatalf("a file that ends at %d of %d: %v, %v", cut, size, complete, err)
		}
	}
}

var errDisk = errors.New("disk on fire")

type badDisk struct{}

func (badDisk) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestReadError(t *testing.T) {
	if _, _, err := Complete(badDisk{}, 1000); !errors.Is(err, errDisk) {
		t.Errorf("Complete: %v", err)
	}
	_, err := Inspect(badDisk{}, 1000)
	if _, refused := errors.AsType[*refusal.Error](err); refused || !errors.Is(err, errDisk) {
		t.Errorf("Inspect: %v", err)
	}
}

func TestInspectFileIsRegular(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.so")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, dir} {
		_, err := InspectFile(path) // must not wait for a writer
		if r := checkRefusal(t, err); !strings.Contains(r.Reason, "not a regular file") {
			t.Errorf("%s: %v", path, r)
		}
	}
	if _, err := InspectFile(filepath.Join(dir, "none.so")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
