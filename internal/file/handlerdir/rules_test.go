package handlerdir

import (
	"os"
	osexec "os/exec"
	"strings"
	"syscall"
	"testing"
)

// In a user namespace such as PrivateUsers= makes, another user's file is not
// called nobody's.
func TestOwnerInUserNamespace(t *testing.T) {
	if path := os.Getenv("HANDLERDIR_NAMESPACE"); path != "" {
		r := newRoom(t)
		s, err := Scan(path, r.rules, nil, start)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Files {
			if f.Refusal == nil || !strings.Contains(f.Refusal.Reason, "a user that the daemon cannot tell") {
				t.Errorf("%s: %v", f.Name, f.Refusal)
			}
		}
		if len(s.Files) != 1 {
			t.Errorf("%d files", len(s.Files))
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another")
	}
	r := newRoom(t)
	r.must(os.Chmod(r.dir, 0o755))
	r.write("a.so", 20, 20, start)
	r.must(os.Chown(r.path("a.so"), 1234, 1234))
	self, err := os.Executable()
	r.must(err)
	cmd := osexec.Command(self, "-test.run=^TestOwnerInUserNamespace$", "-test.v")
	cmd.Env = append(os.Environ(), "HANDLERDIR_NAMESPACE="+r.dir)
	one := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: one, GidMappings: one}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
