package headroom

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"golang.org/x/sys/unix"
)

// Who takes the place of what serves finds room where one that is new does not.
func TestBelow(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was)
	for _, c := range [][3]int{{64, 56, 48}, {1024, 896, 768}, {4096, 3968, 3840}} {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(c[0]), Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		if served, first := Below(true), Below(false); served != c[1] || first != c[2] {
			t.Errorf("of %d: below %d and %d, want %d and %d", c[0], served, first, c[1], c[2])
		}
	}
}

func TestTasks(t *testing.T) {
	dir := t.TempDir()
	was := groups
	defer func() { groups = was }()
	groups = func() []string { return []string{filepath.Join(dir, "plugserverd.service"), dir} }
	set := func(is int, most string) {
		t.Helper()
		for file, text := range map[string]string{"pids.current": fmt.Sprintln(is), "pids.max": most + "\n"} {
			path := filepath.Join(dir, "plugserverd.service", file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		is            int
		most          string
		served, first bool
	}{
		{5000, "max", true, true},
		{3750, "4000", true, true},
		{3751, "4000", true, false},
		{3875, "4000", true, false},
		{3876, "4000", false, false},
	} {
		set(c.is, c.most)
		for served, fits := range map[bool]bool{true: c.served, false: c.first} {
			err := Tasks(served)
			if (err == nil) != fits {
				t.Errorf("%d of %s, served %t: %v", c.is, c.most, served, err)
			}
			var r *refusal.Error
			if err != nil && (!errors.As(err, &r) || !refusal.Passing(err) || !strings.Contains(r.Reason, "allows 4000") || !strings.Contains(r.Mend, "raise TasksMax= of plugserverd.service")) {
				t.Errorf("it says %v", r)
			}
		}
	}
}

// What the machine allows is known, and is more than there is here.
func TestOfMachine(t *testing.T) {
	all := ofMachine()
	for _, b := range all {
		if b.is < 10 || b.limit < b.is {
			t.Errorf("%+v", b)
		}
	}
	if len(all) != 2 {
		t.Errorf("bounds %+v", all)
	}
}

func TestWorded(t *testing.T) {
	for errno, says := range map[unix.Errno]string{unix.EMFILE: "raise LimitNOFILE= of plugserverd.service", unix.EAGAIN: "raise TasksMax= of plugserverd.service"} {
		err := Worded(fmt.Errorf("start it: %w", errno))
		var r *refusal.Error
		if !errors.As(err, &r) || !errors.Is(err, errno) || !strings.Contains(r.Mend, says) {
			t.Errorf("%v: %v", errno, err)
		}
		if own := Worded(refusal.Because(refusal.NoUnit("s", errno), errno)); !errors.As(own, &r) || strings.Contains(r.Mend, says) {
			t.Errorf("another's refusal becomes %v", own)
		}
	}
	if err := Worded(unix.ENOENT); err != unix.ENOENT {
		t.Error(err)
	}
	if err := Worded(nil); err != nil {
		t.Error(err)
	}
}
