package cgroup

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// put writes files of a folder that stands for a group's.
func put(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What is written into which file of a group's folder, and what is not where a controller lacks.
func TestFiles(t *testing.T) {
	all := Limits{CPU: 5050, Tasks: 64, Memory: 64 << 20}
	for _, tt := range []struct {
		name, has string
		limits    Limits
		want      map[string]string // files, in what order they were written is not seen
		lacks     []string
	}{
		{"all", "cpuset cpu io memory pids\n", all, map[string]string{"cpu.max": "50500 100000", "pids.max": "64", "memory.max": "67108864", "memory.oom.group": "1"}, nil},
		{"several processors", "cpu memory pids", Limits{CPU: 25000}, map[string]string{"cpu.max": "250000 100000"}, nil},
		{"the least", "cpu", Limits{CPU: 100}, map[string]string{"cpu.max": "1000 100000"}, []string{Memory, Tasks}},
		{"no bounds", "cpu memory pids", Limits{}, nil, nil},
		{"pids alone", "pids", all, map[string]string{"pids.max": "64"}, []string{CPU, Memory}},
		{"no controller", "hugetlb", all, nil, []string{CPU, Memory, Tasks}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, map[string]string{"cgroup.controllers": tt.has, "pids.max": "4000\n"})
			tree := At(dir)
			if got := read(t, dir, "supervisor", "cgroup.procs"); got != "0" {
				t.Errorf("we have not moved: %q", got)
			}
			if got := tree.Tasks(); got != 4000 {
				t.Errorf("all may have %d tasks", got)
			}
			for _, c := range []string{CPU, Memory, Tasks} {
				var want bool
				for _, l := range tt.lacks {
					want = want || l == c
				}
				if why := tree.Lacks(c); (why != "") != want {
					t.Errorf("%s lacks: %q", c, why)
				}
			}
			g, err := tree.New(tt.limits)
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			files, _ := os.ReadDir(g.dir)
			for _, f := range files {
				got[f.Name()] = read(t, g.dir, f.Name())
			}
			if len(got) != len(tt.want) {
				t.Errorf("got %v", got)
			}
			for file, text := range tt.want {
				if got[file] != text {
					t.Errorf("%s is %q, want %q", file, got[file], text)
				}
			}
			if err := g.Join(123, true); err != nil || read(t, g.dir, "cgroup.procs") != "123" {
				t.Errorf("it has not joined: %v", err)
			}
			g.Kill()
			if got := read(t, g.dir, "cgroup.kill"); got != "1" {
				t.Errorf("cgroup.kill is %q", got)
			}
			if g.OutOfMemory() || g.OutOfTasks() {
				t.Error("it is out of what it was never told")
			}
			put(t, g.dir, map[string]string{"memory.events": "low 0\noom 0\noom_kill 1\n"})
			if g.OutOfMemory() {
				t.Error("it was killed for the memory of others")
			}
			put(t, g.dir, map[string]string{"memory.events": "low 0\noom 3\noom_kill 1\n", "pids.events": "max 2\n"})
			if !g.OutOfMemory() || !g.OutOfTasks() {
				t.Error("it does not see what the kernel counts")
			}
		})
	}
}

// Where no group is to be had children do without, but for those that one is to bound.
func TestNoGroups(t *testing.T) {
	var none *Tree
	if g, err := none.New(Limits{Tasks: 64}); g != nil || err != nil || none.Lacks(CPU) == "" || none.Tasks() == 0 {
		t.Errorf("without a tree: %v, %v", g, err)
	}
	full := &Tree{dir: filepath.Join(t.TempDir(), "gone")}
	if g, err := full.New(Limits{}); g != nil || err != nil {
		t.Errorf("no group, no bounds: %v, %v", g, err)
	}
	if _, err := full.New(Limits{Tasks: 64}); err == nil {
		t.Error("no group: it is started without its bounds")
	}
	var g *Group
	g.Kill()
	g.Joined()
	g.End()
	if g.Join(1, true) != nil || g.OutOfMemory() || g.OutOfTasks() {
		t.Error("a group that is none does something")
	}
	// Where we cannot leave it, no controller can be switched on.
	dir := t.TempDir()
	put(t, dir, map[string]string{"cgroup.controllers": "cpu memory pids", "supervisor": "a file"})
	if why := At(dir).Lacks(Tasks); !strings.Contains(why, "cannot leave") {
		t.Errorf("lacks: %q", why)
	}
}

// Which folder is a process's group, whatever else is mounted.
func TestOwn(t *testing.T) {
	const v1 = "36 35 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	for _, tt := range []struct{ name, group, mounts, want string }{
		{"unified", "0::/system.slice/x.service\n", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/system.slice/x.service"},
		{"hybrid", "4:memory:/a\n0::/x\n", v1 + "37 35 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified/x"},
		{"a mount of a part", "0::/a/b\n", "1 0 0:26 / /cg ro - cgroup2 none ro\n2 1 0:26 /a/b /cg/a/b rw - cgroup2 none rw\n", "/cg/a/b"},
		{"a mount of another part", "0::/a/b\n", "1 0 0:26 / /cg ro - cgroup2 none ro\n2 1 0:26 /a/c /cg/a/c rw - cgroup2 none rw\n", "/cg/a/b"},
		{"the first version alone", "4:memory:/a\n", v1, ""},
		{"not mounted", "0::/a\n", v1, ""},
		{"torn", "0::/a\n", "30 24 - cgroup2\n-\n\n", ""},
	} {
		dir := t.TempDir()
		put(t, dir, map[string]string{"cgroup": tt.group, "mountinfo": tt.mounts})
		if got, err := own(dir); got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	if _, err := own("/nowhere"); err == nil {
		t.Error("there is a group in nowhere")
	}
	if err := delegated(t.TempDir()); err == nil {
		t.Error("any folder is delegated")
	}
}

// The kernel's own groups: what a process has started and put into a session of its own ends with it.
func TestKernel(t *testing.T) {
	dir := kernels(t)
	tree := At(dir)
	g, err := tree.New(Limits{Tasks: 16, CPU: 100 * 100, Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for c, file := range map[string]string{CPU: "cpu.max", Memory: "memory.max", Tasks: "pids.max"} {
		if tree.Lacks(c) == "" && strings.HasPrefix(read(t, g.dir, file), "max") {
			t.Errorf("%s is not in force", file)
		}
	}
	shell := exec.Command("sh", "-c", "read go; setsid sleep 1000 & echo; wait")
	in, _ := shell.StdinPipe()
	out, _ := shell.StdoutPipe()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Join(shell.Process.Pid, true); err != nil {
		t.Fatal(err)
	}
	in.Write([]byte("\n"))
	out.Read(make([]byte, 1))
	shell.Process.Kill()
	shell.Wait()
	if got := read(t, g.dir, "cgroup.procs"); got == "" {
		t.Error("sleep is gone before the group was ended")
	}
	g.End()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(g.dir); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the group stays")
		}
	}
	// What a daemon before us has left.
	left, err := tree.New(Limits{})
	if err != nil {
		t.Fatal(err)
	}
	At(dir)
	if _, err := os.Stat(left.dir); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
}

// kernels is a group of the kernel's for a test, which ends with it.
func kernels(t *testing.T) string {
	t.Helper()
	in, err := Self()
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp(in, "plugserver-test-")
	if err != nil {
		t.Skip("needs root, to make control groups: ", err)
	}
	t.Cleanup(func() {
		write(in, "cgroup.procs", "0") // out of it again
		groups, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
		for _, g := range groups {
			os.Remove(filepath.Dir(g))
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
