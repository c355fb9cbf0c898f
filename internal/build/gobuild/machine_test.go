package gobuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/cellsource"
	"github.com/andrestc/go-plugserver/internal/build/toolchain"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// fakeGo makes a GOROOT whose go command says that it is a release, and whose
// go build is the script.
func fakeGo(t *testing.T, release, script string) (goroot string) {
	t.Helper()
	goroot = t.TempDir()
	text := fmt.Sprintf("#!/bin/sh\nif [ \"$1\" = env ]; then echo %s; echo %s; exit; fi\n%s\n", release, goroot, script)
	write(t, filepath.Join(goroot, "bin", "go"), text)
	if err := os.Chmod(filepath.Join(goroot, "bin", "go"), 0o755); err != nil {
		t.Fatal(err)
	}
	return goroot
}

func setInstalled(t *testing.T, patterns ...string) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GOPATH", t.TempDir())
	t.Setenv("GOMODCACHE", t.TempDir())
	before := toolchain.Installed
	toolchain.Installed = patterns
	t.Cleanup(func() { toolchain.Installed = before })
}

func wantRefusal(t *testing.T, err error, reason, mend string) {
	t.Helper()
	r, ok := errors.AsType[*refusal.Error](err)
	if !ok || !strings.Contains(r.Reason, reason) || !strings.Contains(r.Mends(), mend) {
		t.Errorf("got  %v\nwant %s; %s", err, reason, mend)
	}
}

// What this machine lacks is told with what fixes it.
func TestMachineRefuses(t *testing.T) {
	ctx, here := context.Background(), &elfplug.Info{GoVersion: runtime.Version()}
	t.Run("no go", func(t *testing.T) {
		setInstalled(t)
		t.Setenv("PATH", t.TempDir())
		b, err := New(Config{Cache: t.TempDir(), Root: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.BuildCell(ctx, here, t.TempDir(), nil)
		wantRefusal(t, err, "no Go toolchain was found", "apt install golang-go gcc libc6-dev")
		err = b.BuildPlugin(ctx, Source{Path: t.TempDir()}, filepath.Join(t.TempDir(), "x.so"), nil, nil)
		wantRefusal(t, err, "no Go toolchain was found", "plugserverctl cell add")
	})
	t.Run("no gcc", func(t *testing.T) {
		t.Setenv("PATH", filepath.Dir(goCommand(t)))
		b, err := New(Config{Cache: t.TempDir(), Root: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.BuildCell(ctx, here, t.TempDir(), nil)
		wantRefusal(t, err, "no C compiler was found: gcc", "apt install gcc libc6-dev")
	})
	t.Run("no such release", func(t *testing.T) {
		b := newBuilder(t)
		b.configure(func(c *Config) { c.Network = false })
		_, err := b.BuildCell(ctx, &elfplug.Info{GoVersion: "go1.23.99"}, t.TempDir(), nil)
		wantRefusal(t, err, "no Go toolchain of release go1.23.99 was found, there is "+`"`+runtime.Version(), "let go fetch it: --build-network=on")
		wantRefusal(t, err, "; --build-network=off kept go from fetching it", "PLUGSERVER_BUILD_NETWORK=on")
		t.Setenv("GOPROXY", "off")
		b = newBuilder(t)
		_, err = b.BuildCell(ctx, &elfplug.Info{GoVersion: "go1.23.99"}, t.TempDir(), nil)
		wantRefusal(t, err, "go could not fetch it: ", "--goroot of plugserverctl")
		if strings.Contains(err.Error(), "--build-network") {
			t.Errorf("%v: the network is allowed already", err)
		}
		_, err = b.BuildCell(ctx, &elfplug.Info{GoVersion: "devel go1.99-abcdef"}, t.TempDir(), nil)
		wantRefusal(t, err, "no Go toolchain of release \"devel go1.99-abcdef\"", "")
	})
	t.Run("a release that go has fetched", func(t *testing.T) {
		goroot := fakeGo(t, "go1.23.99", "echo 'no: not today'; exit 1")
		for _, tt := range []struct {
			place   string
			inherit bool
			set     func(dir string)
		}{
			{"golang.org/toolchain@v0.0.1-go1.23.99." + runtime.GOOS + "-" + runtime.GOARCH, true, func(dir string) { t.Setenv("GOMODCACHE", dir) }},
			{"pkg/mod/golang.org/toolchain@v0.0.1-go1.23.99." + runtime.GOOS + "-" + runtime.GOARCH, false, func(dir string) { t.Setenv("GOPATH", dir) }},
			{"sdk/go1.23.99", false, func(dir string) { t.Setenv("HOME", dir) }},
		} {
			setInstalled(t)
			dir := filepath.Join(t.TempDir(), "a [b]*")
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, tt.place)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(goroot, filepath.Join(dir, tt.place)); err != nil {
				t.Fatal(err)
			}
			tt.set(dir)
			b := newBuilder(t)
			b.configure(func(c *Config) { c.Network, c.Inherit = false, tt.inherit })
			_, err := b.BuildCell(ctx, &elfplug.Info{GoVersion: "go1.23.99"}, t.TempDir(), nil)
			wantRefusal(t, err, "a cell cannot be built: no: not today", "")
		}
	})
	t.Run("an old release", func(t *testing.T) {
		_, err := newBuilder(t).BuildCell(ctx, &elfplug.Info{GoVersion: "go1.22.12"}, t.TempDir(), nil)
		wantRefusal(t, err, "built by go1.22.12, and there are cells from "+cellsource.OldestGo+" on", "later Go release")
	})
	t.Run("root", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("not root")
		}
		b := newBuilder(t)
		b.cfg.Root = false
		_, err := b.BuildCell(ctx, here, t.TempDir(), nil)
		wantRefusal(t, err, "plugserverd runs as root and builds nothing", "plugserverctl cell build")
		err = b.BuildPlugin(ctx, Source{Path: t.TempDir()}, filepath.Join(t.TempDir(), "x.so"), nil, nil)
		wantRefusal(t, err, "plugserverd runs as root and builds nothing", "plugserverctl build")
	})
	t.Run("a cache that cannot be", func(t *testing.T) {
		b := newBuilder(t)
		b.cfg.Cache = filepath.Join(os.DevNull, "cache")
		if _, err := b.BuildCell(ctx, here, t.TempDir(), nil); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("got %v", err)
		}
	})
}

// A build is ended with all of its children, by the deadline and by the caller.
func TestBuildIsKilled(t *testing.T) {
	const release = "go1.24.99"
	dir := t.TempDir()
	fifo := filepath.Join(dir, "started")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The child holds the output, as a compiler does.
	goroot := fakeGo(t, release, "sleep 1000 & echo $$ $! >"+fifo+"; wait")
	started := func() (pids [2]int) {
		f, err := os.OpenFile(fifo, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		f.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := fmt.Fscan(f, &pids[0], &pids[1]); err != nil {
			t.Error(err)
		}
		return pids
	}
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		cancel  bool
	}{
		{"deadline", 3 * time.Second, false},
		{"caller", time.Hour, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBuilder(t, goroot)
			b.cfg.Timeout = tt.timeout
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := b.BuildCell(ctx, &elfplug.Info{GoVersion: release}, t.TempDir(), nil)
				ended <- err
			}()
			pids := started()
			if tt.cancel {
				for _, pid := range pids {
					awaitNice(t, pid)
				}
				cancel()
			}
			err := <-ended
			if tt.cancel && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if !tt.cancel {
				wantRefusal(t, err, "the build took longer than 3s and was ended", "--build-timeout")
			}
			for _, pid := range pids {
				if !gone(pid) {
					t.Errorf("process %d is left", pid)
				}
			}
			if _, err := os.Stat(filepath.Join(b.cfg.Cache, "scratch")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("scratch is left: %v", err)
			}
		})
	}
}

// awaitNice waits until a process has the priority of a build: it gets it as
// soon as it runs.
func awaitNice(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		// The system call's answer is 20 less the toolchain.Niceness (getpriority(2)).
		prio, err := syscall.Getpriority(syscall.PRIO_PROCESS, pid)
		if err == nil && 20-prio >= toolchain.Niceness {
			return
		}
		if err != nil || time.Now().After(deadline) {
			t.Errorf("priority of process %d: toolchain.Niceness %d, %v", pid, 20-prio, err)
			return
		}
	}
}

// gone reports whether a process is dead, or a zombie that nobody has reaped.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return strings.HasPrefix(after, "Z") || strings.HasPrefix(after, "X")
}

// One build runs at a time, whoever asks for it.
func TestOneBuildAtATime(t *testing.T) {
	const release = "go1.24.99"
	dir := t.TempDir()
	goroot := fakeGo(t, release, "mkdir "+dir+"/busy && rmdir "+dir+"/busy && echo 'no: not today'; exit 1")
	errs := make(chan error)
	builders := []*Builder{newBuilder(t, goroot), newBuilder(t, goroot)}
	for i := range 8 {
		go func() {
			_, err := builders[i%2].BuildCell(context.Background(), &elfplug.Info{GoVersion: release}, dir, nil)
			errs <- err
		}()
	}
	for range 8 {
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "a cell cannot be built: no: not today;") {
			t.Errorf("got %v", err)
		}
	}
	// Another process's build is waited for, as long as the caller wants to.
	lock, err := os.OpenFile(filepath.Join(builders[0].cfg.Cache, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := builders[0].BuildCell(ctx, &elfplug.Info{GoVersion: release}, dir, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	lock.Close()
	if _, err := builders[0].BuildCell(context.Background(), &elfplug.Info{GoVersion: release}, dir, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A Go installation elsewhere makes no difference, a patched one does: the
// cell has to come from it. The patched one is built with caches of the
// builder's own.
func TestOtherInstallations(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library twice; run without -short")
	}
	out, err := exec.Command(goCommand(t), "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	goroot := t.TempDir()
	for _, name := range []string{"bin", "lib", "pkg", "src", "VERSION", "go.env"} {
		if text, err := exec.Command("cp", "-r", filepath.Join(strings.TrimSpace(string(out)), name), goroot).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	command := filepath.Join(goroot, "bin", "go")
	t.Run("copied", func(t *testing.T) {
		p := foreign(t, command, []string{"GOTOOLCHAIN=local"})
		cell, err := newBuilder(t).BuildCell(context.Background(), p, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		loads(t, cell, pluginFiles[p])
	})
	t.Run("patched", func(t *testing.T) {
		path := filepath.Join(goroot, "src", "net", "http", "status.go")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(text)+"\nfunc Patched() int { return 1 }\n")
		p := foreign(t, command, []string{"GOTOOLCHAIN=local"})
		_, err = newBuilder(t).BuildCell(context.Background(), p, t.TempDir(), nil)
		wantRefusal(t, err, "still differs from the plugin: ", "name the Go installation that built the plugin: ")

		cache := filepath.Join(t.TempDir(), "own")
		t.Setenv("GOPROXY", "off")
		// Its own, but for what go has compiled already.
		goCache, err := exec.Command(goCommand(t), "env", "GOCACHE").Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(cache, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(strings.TrimSpace(string(goCache)), filepath.Join(cache, "go-build")); err != nil {
			t.Fatal(err)
		}
		t.Setenv("HOME", t.TempDir())
		b, err := New(Config{GOROOTs: []string{goroot}, Cache: cache, Root: true})
		if err != nil {
			t.Fatal(err)
		}
		cell, err := b.BuildCell(context.Background(), p, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		loads(t, cell, pluginFiles[p])
		if home, _ := os.ReadDir(os.Getenv("HOME")); len(home) > 0 {
			t.Errorf("written outside of the cache: %v", home)
		}
	})
}
