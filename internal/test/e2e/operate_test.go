package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// fileOf writes a plugin to a folder of its user's and returns its path.
func fileOf(t *testing.T, p testbed.Plugin, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, p.Bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ctl runs a command that has to end with the code, and to say what is wanted.
func ctl(t testing.TB, d *testbed.Daemon, code int, want string, args ...string) {
	t.Helper()
	out, errs, got := d.Ctl(args...)
	if got != code || !strings.Contains(out+errs, want) {
		t.Errorf("plugserverctl %q: exit %d, want %d with %q\n%s%s", args, got, code, want, out, errs)
	}
}

// A handler's life by plugserverctl alone: each command returns once what it
// asked for is in force, and its exit code says whether it is.
func TestOperate(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--build-cells", "off"))
	one, two := plain(t, "/a", "one"), plain(t, "/a", "two")

	ctl(t, d, 0, "live: a, version "+one.Version+": /a (", "install", fileOf(t, one, "a.so"))
	d.Want("/a", 200, "one")
	h, _ := d.Handler("a")
	if argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", h.PID)); err != nil || !strings.HasSuffix(strings.TrimRight(string(argv), "\x00"), "\x00a") {
		t.Errorf("ps shows its cell as %q, %v", argv, err)
	}
	ctl(t, d, 0, "live: a, version "+two.Version, "install", "--name", "a", fileOf(t, two, "b.so"))
	d.Want("/a", 200, "two")
	ctl(t, d, 0, "live: a, version "+two.Version, "install", fileOf(t, two, "a.so")) // again

	// What fails only once it runs is refused by the daemon; what cannot be
	// loaded does not get there.
	ctl(t, d, 1, "version "+two.Version+" goes on serving", "install", fileOf(t, broken(t, "Start errs"), "a.so"))
	d.Want("/a", 200, "two")
	// Refused, it leaves no file behind: the one that serves is in place again.
	if got, err := os.ReadFile(d.Path("a")); err != nil || string(got) != string(two.Bytes) {
		t.Errorf("after an installation that was refused the file is another: %v", err)
	}
	ctl(t, d, 0, "", "reload")
	ctl(t, d, 0, "nothing to release: a is live", "release", "a")
	// It says what to do about a file that lies in the directory no longer.
	ctl(t, d, 1, `pattern "/a" is taken by handler "a"`+"\n  mend: change the pattern, or remove a.so, then install it again\nnot installed: squatter", "install", fileOf(t, one, "squatter.so"))
	ctl(t, d, 1, "there is no squatter.so", "remove", "squatter")
	flagged := testbed.Source{Files: map[string]string{"main.go": plainSource}, Flags: []string{"-trimpath"}}.Build(t)
	ctl(t, d, 1, "not installed: flagged", "install", fileOf(t, flagged, "flagged.so"))
	if _, ok := d.Handler("flagged"); ok {
		t.Error("a file that cannot be loaded was installed")
	}

	ctl(t, d, 0, two.Version, "history", "a")
	ctl(t, d, 0, "rolled back: a, version "+one.Version, "rollback", "a")
	d.Want("/a", 200, "one")
	// Who has asked for it finds nothing wrong, after a restart of the daemon either.
	ctl(t, d, 0, "rolled back a: version "+two.Version+" was rolled back", "reload")
	if e := d.WaitLogFrom(0, "the roll-back", event("rolled_back", "a")); e.Get("level") != "info" {
		t.Errorf("an operator's roll-back is logged as %v", e)
	}
	d.Stop()
	d = testbed.Start(t, testbed.In(d.Dir), testbed.Flags("--build-cells", "off"))
	d.Want("/a", 200, "one")
	ctl(t, d, 0, "rolled back a: version "+two.Version+" was rolled back", "reload")
	ctl(t, d, 0, "rolled back", "status")
	for _, e := range d.Log.From(0) {
		if e.Get("level") == "error" || e.Get("level") == "warning" {
			t.Errorf("an operator's roll-back is logged as %v", e)
		}
	}
	ctl(t, d, 0, "live", "release", "a")
	d.Want("/a", 200, "two")
	ctl(t, d, 0, "rolled back: a, version "+one.Version, "rollback", "a", one.Version)
	d.Want("/a", 200, "one")
	ctl(t, d, 1, "", "rollback", "a", "0123456789ab")
	ctl(t, d, 1, `there is no handler "b"`, "rollback", "b")
	d.Want("/a", 200, "one")

	ctl(t, d, 0, "removed: a", "remove", "a")
	d.Want("/a", 404, "")
	ctl(t, d, 1, "there is no a.so or a.go", "remove", "a")
	ctl(t, d, 1, `there is no handler "a"`, "history", "a")
	left, err := os.ReadDir(d.Handlers)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the handlers directory: %v, %v", left, err)
	}
}

// Check agrees with the daemon, on what loads and on what does not.
func TestCheckAgrees(t *testing.T) {
	d := testbed.Start(t, testbed.Flags("--build-cells", "off"))
	for _, tt := range []struct {
		name string
		p    testbed.Plugin
	}{
		{"good", plain(t, "/good", "x")},
		{"errs", broken(t, "Start errs")},
		{"exits", broken(t, "init exits")},
		{"pattern", broken(t, "bad pattern")},
		{"conflict", broken(t, "conflicts with itself")},
		{"text", testbed.NewPlugin([]byte("no plugin"))},
		{"cut", testbed.NewPlugin(plain(t, "/good", "x").Bytes[:5000])},
	} {
		out, errs, code := d.Ctl("check", fileOf(t, tt.p, tt.name+".so"))
		mark := d.Log.Len()
		d.Drop(tt.name, tt.p)
		if code == 0 {
			d.WaitLive(mark, tt.name, tt.p)
			continue
		}
		_, reason, _ := strings.Cut(out, "[KO] ")
		reason, _, _ = strings.Cut(reason, "\n")
		d.WaitLogFrom(mark, "refusal of "+tt.name, func(e testbed.Entry) bool {
			return e.Msg() == "refused: "+tt.name+".so" || strings.HasPrefix(e.Msg(), "refused: "+tt.name)
		})
		h, _ := d.Handler(tt.name)
		if h.Refusal == nil || reason == "" || h.Refusal.Reason != reason {
			t.Errorf("%s: check says %q, the daemon %+v\n%s", tt.name, reason, h.Refusal, errs)
		}
	}
}
