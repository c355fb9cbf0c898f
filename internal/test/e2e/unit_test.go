package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// units stands in for systemd: it starts a keeper for whoever connects to its socket.
type units struct{ socket, lent string }

func (u *units) listen(t *testing.T, env string) {
	l, err := net.Listen("unix", u.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	bin := testbed.Build(t)
	run, err := os.MkdirTemp("/dev/shm", "plugserver-unit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.UnixConn).File()
			c.Close()
			if err != nil {
				t.Error(err)
				return
			}
			cmd := exec.Command(bin.Daemon, "keep", u.lent, run)
			cmd.Stdin, cmd.Stderr, cmd.Env = f, os.Stderr, append(os.Environ(), env)
			if err := cmd.Start(); err != nil {
				t.Error(err)
			}
			f.Close()
			go cmd.Wait()
		}
	}()
}

// A handler with Isolation=unit is refused where nobody starts units, and then runs in one: it is replaced under load without a
// failure, by a process that was started ahead; its death is seen, and what it printed; and no process is left over, whichever way
// the supervisor ends.
func TestUnit(t *testing.T) {
	dir := testbed.NewDir(t)
	u := &units{socket: filepath.Join(dir, "u.sock"), lent: filepath.Join(dir, "state", "store", "units")}
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte("[Handler apart]\nIsolation=unit\nMemoryMax=400M\n[Handler secret]\nIsolation=unit\nSetCredential=token:x\n[Handler usual]\nIsolation=process\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Nobody else than the daemon's user finds it: it is lent as the plugin is.
	cell := filepath.Join(dir, "private", "cell")
	program, err := os.ReadFile(testbed.Build(t).Cell)
	if err = errors.Join(err, os.Mkdir(filepath.Dir(cell), 0o700), os.WriteFile(cell, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	flags := testbed.Flags("--cell-socket", u.socket, "--cell", cell)
	d := testbed.Start(t, testbed.In(dir), flags, testbed.Allow("crashed: apart"))
	d.Put("usual", plain(t, "/usual", "usual"))
	mark := d.Log.Len()
	d.Drop("apart", plain(t, "/apart", "one"))
	refused := d.WaitRefused(mark, "apart")
	if !strings.Contains(refused.Raw, "Isolation=unit") || !strings.Contains(refused.Raw, "systemctl enable --now plugserver-cell.socket") {
		t.Errorf("the refusal is %s", refused.Raw)
	}
	d.Want("/usual", 200, "usual")

	env := ""
	for _, kv := range environOf(t, d.PID()) {
		if strings.HasPrefix(kv, "E2E_DAEMON=") {
			env = kv
		}
	}
	u.listen(t, env)
	await(t, "the handler serves, by itself", func() bool { s, body := d.Get("/apart"); return s == 200 && body == "one" })
	d.Put("secret", plain(t, "/secret", "secret")) // its credentials are kept
	h, _ := d.Handler("apart")
	if parent := parentOf(t, h.PID); parent == d.PID() || h.PrivateBytes == 0 || h.Descriptors == 0 {
		t.Errorf("process %d is a child of %d, of the supervisor %d; it uses %+v", h.PID, parent, d.PID(), h)
	}
	if runs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", h.PID)); err != nil || !strings.HasPrefix(runs, u.lent+"/") {
		t.Errorf("it runs %s, %v, not what it was lent", runs, err)
	}
	if usual, _ := d.Handler("usual"); parentOf(t, usual.PID) != d.PID() {
		t.Error("the other one is no child of the supervisor's")
	}

	load := testbed.Plan{Addr: d.Addr, Clients: 4, Paths: []string{"/apart", "/usual"}}.Run(t)
	for i := range 10 {
		d.Put("apart", plain(t, "/apart", number(i)))
	}
	load.End()
	load.Unharmed(t)
	d.Want("/apart", 200, number(9))

	var ahead int
	await(t, "one that is started ahead", func() bool {
		for _, pid := range d.Status().Daemon.Spares {
			if parentOf(t, pid) != d.PID() {
				ahead = pid
			}
		}
		return ahead != 0
	})
	d.Put("apart", plain(t, "/apart", "last"))
	if h, _ = d.Handler("apart"); h.PID != ahead {
		t.Errorf("process %d serves, %d was started ahead", h.PID, ahead)
	}
	mark = d.Log.Len()
	syscall.Kill(h.PID, syscall.SIGKILL)
	d.WaitLogFrom(mark, "the death", func(e testbed.Entry) bool {
		return strings.HasPrefix(e.Msg(), "crashed: apart") && strings.Contains(e.Raw, "signal: killed")
	})
	await(t, "it is started again", func() bool { s, _ := d.Get("/apart"); return s == 200 })
	if left := lentFolders(t, u.lent); left > 3 { // those of two, and a spare's
		t.Errorf("%d folders of what was lent are left", left)
	}

	d.Signal(syscall.SIGKILL)
	d.Ended(testbed.Patience)
	again := testbed.Start(t, testbed.In(dir), flags)
	await(t, "it serves after a death of the supervisor", func() bool { s, _ := again.Get("/apart"); return s == 200 })
	if left := lentFolders(t, u.lent); left > 3 {
		t.Errorf("%d folders of what an earlier supervisor lent are left", left)
	}
}

func lentFolders(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func environOf(t *testing.T, pid int) []string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\x00")
}

func parentOf(t *testing.T, pid int) (parent int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "PPid:"); ok {
			fmt.Sscan(v, &parent)
		}
	}
	return parent
}
