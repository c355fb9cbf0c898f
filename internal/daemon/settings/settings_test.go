package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// layout puts files, by their paths, below a new folder and returns the path of
// plugserverd.conf there. A name that ends in a slash is a directory.
func layout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		parent := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			parent = path
		}
		if err := os.MkdirAll(parent, 0o755); err != nil {
			t.Fatal(err)
		}
		if parent == path {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "plugserverd.conf")
}

// try loads a file. Where it is to have a fault it returns nil, and the fault has to be told, with F in the place of the path and
// DIR in that of its folder; nothing tells a secret.
func try(t *testing.T, name, path, fault string) *Settings {
	t.Helper()
	s, err := Load(path)
	switch {
	case fault != "":
		said := strings.NewReplacer(path, "F", filepath.Dir(path), "DIR").Replace(fmt.Sprint(err))
		if err == nil || !strings.Contains(said, fault) || strings.Contains(said, "hunter2") {
			t.Errorf("%s: got %v, want %s", name, err, fault)
		}
		return nil
	case err != nil:
		t.Errorf("%s: %v", name, err)
		return nil
	}
	return s
}

const dropIn = "plugserverd.conf.d/"

func TestLoad(t *testing.T) {
	const users = "[Handler users]\nMemoryMax=64M\nLimitNOFILE=512\nCell=shop\n[Toolchains]\nGOROOT=/go/1\nGOROOT=/go/2\n"
	for _, tt := range []struct {
		name    string
		files   map[string]string
		users   Handler
		goroots []string
	}{
		{"nothing there", nil, Handler{}, nil},
		{"an empty file", map[string]string{"plugserverd.conf": ""}, Handler{}, nil},
		{"another handler", map[string]string{"plugserverd.conf": "[Handler Users]\nMemoryMax=64M"}, Handler{}, nil},
		{"the file", map[string]string{"plugserverd.conf": users}, Handler{MemoryMax: 64 << 20, LimitNOFILE: 512, Cell: "shop"}, []string{"/go/1", "/go/2"}},
		{"no file but drop-ins", map[string]string{dropIn + "a.conf": users}, Handler{MemoryMax: 64 << 20, LimitNOFILE: 512, Cell: "shop"}, []string{"/go/1", "/go/2"}},
		{"an empty drop-in directory", map[string]string{"plugserverd.conf": users, dropIn: ""}, Handler{MemoryMax: 64 << 20, LimitNOFILE: 512, Cell: "shop"}, []string{"/go/1", "/go/2"}},
		{"no limits", map[string]string{"plugserverd.conf": "[Handler users]\nMemoryMax=infinity\nLimitNOFILE=infinity"}, Handler{MemoryMax: Infinity, LimitNOFILE: Infinity, Cell: ""}, nil},
		{"log rate limits", map[string]string{"plugserverd.conf": "[Handler users]\nLogRateLimitIntervalSec=30s\nLogRateLimitBurst=10000"}, Handler{LogRateLimitBurst: 10000, LogRateLimitInterval: 30 * time.Second}, nil},
		{"bounds", map[string]string{"plugserverd.conf": "[Handler users]\nMaxInFlight=10\nMaxBodyBytes=1K\nRequestTimeout=1min 500ms\nDrainTimeout=infinity\nDisabled=yes"},
			Handler{MaxInFlight: 10, MaxBodyBytes: 1024, RequestTimeout: time.Minute + 500*time.Millisecond, DrainTimeout: Infinity, Disabled: true}, nil},
		{"a section twice", map[string]string{"plugserverd.conf": "[Handler users]\nMemoryMax=64M\nCell=a\n[Handler x]\nCell=x\n[Handler \tusers ]\nMemoryMax=128M"}, Handler{MemoryMax: 128 << 20, LimitNOFILE: 0, Cell: "a"}, nil},
		{"empty values unset", map[string]string{
			"plugserverd.conf": users + "[Handler users]\nMemoryMax=\nCell=\n[Toolchains]\nGOROOT=\nGOROOT=/go/3",
		}, Handler{MemoryMax: 0, LimitNOFILE: 512, Cell: ""}, []string{"/go/3"}},
		{"toolchains are clean and unique", map[string]string{
			"plugserverd.conf": "[Toolchains]\nGOROOT=/go/1/\nGOROOT=/go//1\nGOROOT=/go/x/../1\nGOROOT=/with space",
		}, Handler{}, []string{"/go/1", "/with space"}},
		{"drop-ins by name, after the file", map[string]string{
			"plugserverd.conf": users,
			dropIn + "10.conf": "[Handler users]\nMemoryMax=100M\nLimitNOFILE=100\nCell=ten",
			dropIn + "9.conf":  "[Handler users]\nMemoryMax=90M",
			dropIn + "A.conf":  "[Handler users]\nCell=capital\n[Toolchains]\nGOROOT=/go/A",
			dropIn + "a.conf":  "[Handler users]\nLimitNOFILE=",
		}, Handler{MemoryMax: 90 << 20, LimitNOFILE: 0, Cell: "capital"}, []string{"/go/1", "/go/2", "/go/A"}},
		{"a section ends with its file", map[string]string{
			"plugserverd.conf": "[Handler users]\nMemoryMax=64M\n",
			dropIn + "a.conf":  "[Handler other]\nMemoryMax=128M",
		}, Handler{MemoryMax: 64 << 20, LimitNOFILE: 0, Cell: ""}, nil},
		{"what is no drop-in", map[string]string{
			"plugserverd.conf":        users,
			dropIn + ".hidden.conf":   "nonsense",
			dropIn + "a.conf~":        "nonsense",
			dropIn + "a.conf.dpkg":    "nonsense",
			dropIn + "conf":           "nonsense",
			dropIn + "folder/a.conf":  "nonsense",
			"plugserverd.conf.old":    "nonsense",
			"other.conf.d/other.conf": "nonsense",
		}, Handler{MemoryMax: 64 << 20, LimitNOFILE: 512, Cell: "shop"}, []string{"/go/1", "/go/2"}},
		{"of the largest size", map[string]string{"plugserverd.conf": users + strings.Repeat("#", maxSize-len(users))}, Handler{MemoryMax: 64 << 20, LimitNOFILE: 512, Cell: "shop"}, []string{"/go/1", "/go/2"}},
	} {
		s, err := Load(layout(t, tt.files))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := s.Handler("users"); got != tt.users {
			t.Errorf("%s: handler users: got %+v, want %+v", tt.name, got, tt.users)
		}
		if got := s.GOROOTs(); !slices.Equal(got, tt.goroots) {
			t.Errorf("%s: GOROOTs: got %q, want %q", tt.name, got, tt.goroots)
		}
	}
}

// Handlers that share a process share all of it: they are of one group.
func TestTrustGroups(t *testing.T) {
	for text, want := range map[string]string{
		"[Handler a]\nCell=x\n[Handler b]\nCell=x\n":                                         "",
		"[Handler a]\nTrust=g\nCell=x\n[Handler b]\nCell=x\nTrust=g\n[Handler c]\nTrust=h\n": "",
		"[Handler a]\nTrust=g\nCell=x\n[Handler b]\nCell=x\n":                                "[Handler a] and [Handler b]",
		"[Handler a]\nIsolation=unit\nCell=x\n[Handler b]\nCell=x\nIsolation=unit\n":         "",
		"[Handler a]\nIsolation=unit\nCell=x\n[Handler b]\nCell=x\nIsolation=process\n":      "another Isolation=",
		"[Handler a]\nIsolation=unit\nStateDirectory=x\n":                                    "take one of them away",
		"[Handler a]\nIsolation=process\nStateDirectory=x\n":                                 "",
		"[Handler a]\nIsolation=units\n":                                                     "write unit",
		"[Handler a]\nTrust=g h\n":                                                           "cannot name a group",
	} {
		s, err := Load(layout(t, map[string]string{"plugserverd.conf": text}))
		if want == "" {
			if err != nil || s.Trusts() != strings.Contains(text, "Trust") {
				t.Errorf("%q: %v", text, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestSettingsAreImmutable(t *testing.T) {
	s, err := Load(layout(t, map[string]string{"plugserverd.conf": "[Handler a]\nCell=x\n[Toolchains]\nGOROOT=/go"}))
	if err != nil {
		t.Fatal(err)
	}
	h := s.Handler("a")
	h.Cell = "y"
	s.GOROOTs()[0] = "/other"
	if got := s.Handler("a").Cell; got != "x" {
		t.Errorf("Cell is %q", got)
	}
	if got := s.GOROOTs()[0]; got != "/go" {
		t.Errorf("GOROOT is %q", got)
	}
	if zero := new(Settings); zero.Handler("a") != (Handler{}) || zero.GOROOTs() != nil {
		t.Errorf("the zero value says %+v, %q", zero.Handler("a"), zero.GOROOTs())
	}
}

// Every fault of every line of every file is named, and nothing is taken over.
func TestFaultsAreNamedByLine(t *testing.T) {
	path := layout(t, map[string]string{
		"plugserverd.conf": strings.Join([]string{
			"MemoryMax=64M", // 1
			"[Handler users]",
			"MemoryMax=64M",
			"memorymax=64M",
			"Memory=64M", // 5
			"MemoryMax=64Q",
			"MemoryMax=1M",
			"LimitNOFILE=\\",
			"# many",
			"  many", // 10
			"Cell=-a",
			"Cell=shop # all of them",
			"GOROOT=/go",
			"rubbish",
			"[Handler]", // 15
			"Rubbish=1", // of a section that was refused
			"[Handler a b]",
			"[Handler users.so]",
			"[handler users]",
			"[toolchains]", // 20
			"[Toolchains extra]",
			"[Cells]",
			"[Toolchains]",
			"GOROOT=go",
			"GOROOT=\"/go\"", // 25
			"goroot=/go",
			"GOROOT=/go\t; the old one",
		}, "\r\n"),
		dropIn + "a.conf": "[Handler users]\nMemoryMax=9999999T\n[oops\nCell=x",
		dropIn + "b.conf": "[Handler users]\nMemoryMax=64M\nLimitNOFILE=1",
		dropIn + "c.conf": "[Handler \x00]",
	})
	const rule = "write a letter or digit, then at most 99 of letters, digits, '.', '_' and '-'"
	want := strings.Join([]string{
		`F:1: "MemoryMax=64M" stands before any section; put it below a line [NAME]`,
		`F:4: unknown key "memorymax"; write MemoryMax=`,
		`F:5: unknown key "Memory"; did you mean MemoryMax=?`,
		`F:6: MemoryMax="64Q": not a size; write bytes, or a number with K, M, G or T such as 256M, or infinity`,
		`F:7: MemoryMax="1M": too little for a handler to run; the least is 16M`,
		`F:8: LimitNOFILE="many": not a number of descriptors; write one such as 1024, or infinity`,
		`F:11: Cell="-a": cannot name a cell; ` + rule,
		`F:12: Cell="shop # all of them": a comment is taken for a part of the value; put it on a line of its own`,
		`F:13: unknown key "GOROOT"; possible here: AccessLog=, CPUQuota=, CanaryFor=, CanaryMaxSlowdown=, CanaryMinRequests=, CanaryMirror=, CanarySticky=, CanaryWeight=, Cell=, Disabled=, DrainTimeout=, Environment=, EnvironmentFile=, HoldTimeout=, Isolation=, LimitNOFILE=, LoadCredential=, LogRateLimitBurst=, LogRateLimitIntervalSec=, MaxBodyBytes=, MaxInFlight=, MemoryMax=, NoSandbox=, PassEnvironment=, PrivateNetwork=, ReadOnlyPaths=, ReadWritePaths=, RequestTimeout=, RestrictAddressFamilies=, SetCredential=, StateDirectory=, TasksMax=, Trust=, WorkingDirectory=`,
		`F:14: "rubbish" is no assignment; write NAME=VALUE`,
		`F:15: section [Handler] names no handler; write [Handler NAME]`,
		`F:17: "a b" cannot name a handler; ` + rule,
		`F:18: "users.so" is a file, not a handler; write [Handler users]`,
		`F:19: unknown section "handler users"; write [Handler NAME]`,
		`F:20: unknown section "toolchains"; write [Toolchains]`,
		`F:21: unknown section "Toolchains extra"; possible are [Handler NAME], [Redirect], [TLS], [Toolchains] and [Trust]`,
		`F:22: unknown section "Cells"; possible are [Handler NAME], [Redirect], [TLS], [Toolchains] and [Trust]`,
		`F:24: GOROOT="go": not an absolute path; write one such as /usr/local/go, without quotes`,
		`F:25: GOROOT="\"/go\"": not an absolute path; write one such as /usr/local/go, without quotes`,
		`F:26: unknown key "goroot"; write GOROOT=`,
		`F:27: GOROOT="/go\t; the old one": a comment is taken for a part of the value; put it on a line of its own`,
		`F.d/a.conf:2: MemoryMax="9999999T": more than there can be; write infinity for no limit`,
		`F.d/a.conf:3: "[oops" is no section header; write [NAME], alone on its line`,
		`F.d/b.conf:3: LimitNOFILE="1": too few for a handler to run; the least is 64`,
		`F.d/c.conf:1: byte 0x00 belongs in no text; save the file as UTF-8`,
	}, "\n")
	s, err := Load(path)
	if s != nil || err == nil {
		t.Fatalf("Load = %+v, %v", s, err)
	}
	if got := strings.ReplaceAll(err.Error(), path, "F"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		files map[string]string
		spoil func(path string)
		is    error
		want  string
	}{
		{"a directory", map[string]string{"plugserverd.conf/": ""}, nil, nil,
			`read settings "F": not a regular file; remove it, or put a file in its place`},
		{"a directory as a drop-in", map[string]string{dropIn + "a.conf/": ""}, nil, nil,
			`read settings "F.d/a.conf": not a regular file; remove it, or put a file in its place`},
		{"a named pipe", nil, func(path string) { must(unix.Mkfifo(path, 0o644)) }, nil,
			`read settings "F": not a regular file; remove it, or put a file in its place`},
		{"too large", map[string]string{"plugserverd.conf": strings.Repeat("#", maxSize+1)}, nil, nil,
			`read settings "F": larger than 1 MiB; put only settings there`},
		{"a link to nowhere", nil, func(path string) { must(os.Symlink("gone", path)) }, fs.ErrNotExist,
			`read settings "F": no such file or directory; mend the symbolic link, or remove it`},
		{"a link to itself", nil, func(path string) { must(os.Symlink(path, path)) }, syscall.ELOOP,
			`read settings "F": too many levels of symbolic links; mend the symbolic link, or remove it`},
		{"a drop-in that leads nowhere", map[string]string{dropIn: ""}, func(path string) { must(os.Symlink("gone", path+".d/a.conf")) }, fs.ErrNotExist,
			`read settings "F.d/a.conf": no such file or directory; mend the symbolic link, or remove it`},
		{"a file as the drop-in directory", map[string]string{"plugserverd.conf.d": ""}, nil, syscall.ENOTDIR,
			`read settings "F.d": not a directory; a file is where a directory has to be: move that file away`},
		{"a named pipe as the drop-in directory", nil, func(path string) { must(unix.Mkfifo(path+".d", 0o644)) }, syscall.ENOTDIR,
			`read settings "F.d": not a directory; a file is where a directory has to be: move that file away`},
		{"not for the daemon", map[string]string{"plugserverd.conf": ""}, func(path string) { must(os.Chmod(path, 0o200)) }, fs.ErrPermission,
			`read settings "F": permission denied; let the daemon's user in: chmod a+r "F", and a+x the directories above`},
		{"drop-ins not for the daemon", map[string]string{dropIn: ""}, func(path string) { must(os.Chmod(path+".d", 0o300)) }, fs.ErrPermission,
			`read settings "F.d": permission denied; let the daemon's user in: chmod a+rx "F.d", and a+x the directories above`},
		{"several", map[string]string{dropIn + "a.conf/": "", dropIn + "b.conf": "[x]", "plugserverd.conf/": ""}, nil, nil,
			`read settings "F": not a regular file; remove it, or put a file in its place` + "\n" +
				`read settings "F.d/a.conf": not a regular file; remove it, or put a file in its place` + "\n" +
				`F.d/b.conf:1: unknown section "x"; possible are [Handler NAME], [Redirect], [TLS], [Toolchains] and [Trust]`},
	} {
		path := layout(t, tt.files)
		if tt.spoil != nil {
			tt.spoil(path)
		}
		must(os.Chmod(filepath.Dir(path), 0o755)) // TempDir's may be 0700
		must(os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755))
		var s *Settings
		var err error
		asNobody(t, func() { s, err = Load(path) })
		if s != nil || err == nil {
			t.Errorf("%s: Load = %+v, %v", tt.name, s, err)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), path, "F"); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v is not %v", tt.name, err, tt.is)
		}
	}
}

// asNobody runs f without root's right to read everything.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := unix.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	}
	f()
}

// The file of the package, as it is and with its lines made live, is one that
// the daemon takes.
func TestPackagedFile(t *testing.T) {
	const packaged = "../../../packaging/deb/plugserverd.conf"
	s, err := Load(packaged)
	if err != nil || !reflect.DeepEqual(s, blank()) {
		t.Errorf("Load = %+v, %v; want settings that say nothing", s, err)
	}
	text, err := os.ReadFile(packaged)
	if err != nil {
		t.Fatal(err)
	}
	live := blank()
	var lines strings.Builder
	for line := range strings.Lines(string(text)) {
		if bare, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(bare, " ") {
			lines.WriteString(bare)
		}
	}
	if errs := live.apply(packaged, lines.String()); errs != nil {
		t.Errorf("%v in\n%s", errs, &lines)
	}
	if h := live.Handler("users"); h.MemoryMax == 0 || h.LimitNOFILE == 0 || h.Cell == "" || live.GOROOTs() == nil {
		t.Errorf("it shows %+v, %q of all there is", h, live.GOROOTs())
	}
}

func FuzzApply(f *testing.F) {
	for _, text := range []string{
		"[Handler users]\nMemoryMax=64M\nLimitNOFILE=512\nCell=shop\n",
		"[Toolchains]\nGOROOT=/go\nGOROOT=\n",
		"[Handler]\n[handler x]\n[Handler x.so]\nMemoryMax=1 # x\n",
		"[Handler x]\nmemorymax=1\nMemoryMax=17179869184G\nLimitNOFILE=-1\nCell=\xff",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := blank()
		for _, err := range s.apply("F", text) {
			if msg := err.Error(); !strings.HasPrefix(msg, "F:") || !strings.Contains(msg, "; ") || strings.ContainsAny(msg, "\n\x00\x1b") {
				t.Errorf("%q gives %q", text, msg)
			}
		}
		for name, h := range s.handlers {
			if h.MemoryMax != 0 && h.MemoryMax != Infinity && h.MemoryMax < minMemory ||
				h.LimitNOFILE != 0 && h.LimitNOFILE != Infinity && h.LimitNOFILE < minNOFILE ||
				h.Cell != "" && strings.ContainsAny(h.Cell, "/ \n") || name == "" || strings.ContainsAny(name, "/ \n") {
				t.Errorf("%q gives handler %q %+v", text, name, *h)
			}
		}
		for _, path := range s.goroots {
			if !filepath.IsAbs(path) || filepath.Clean(path) != path {
				t.Errorf("%q gives GOROOT %q", text, path)
			}
		}
	})
}

// Named says where each handler that has a section is first named.
func TestNamed(t *testing.T) {
	path := layout(t, map[string]string{
		"plugserverd.conf": "[Handler users]\nCell=a\n\n[Handler userss]\n[Toolchains]\n[Handler users]\n",
		dropIn + "a.conf":  "\n[Handler \tlate]\n",
	})
	s, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"users": path + ":1", "userss": path + ":4", "late": path + ".d/a.conf:2"}
	if got := s.Named(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
