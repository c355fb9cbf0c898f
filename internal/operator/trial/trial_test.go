package trial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// The test binary is the cell, too: what it does stands in the handler's file.
// Trials of real plugins are cmd/plugserverctl's.
func TestMain(m *testing.M) {
	if os.Getenv("TRIAL_CELL") == "" {
		os.Exit(m.Run())
	}
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		panic(err)
	}
	open, err := lc.Recv()
	if err != nil {
		panic(err)
	}
	text, err := os.ReadFile(open.Plugins[0].Path)
	if err != nil {
		panic(err)
	}
	what, rest, _ := strings.Cut(string(text), ":")
	switch what {
	case "ready":
		wd, _ := os.Getwd()
		fmt.Println("uid", os.Getuid(), "in", wd)
		lc.Send(link.Message{Kind: link.Log, Text: "logged"})
		lc.Send(link.Message{Kind: link.Ready, Plugins: []link.Plugin{{Patterns: strings.Split(rest, ",")}}})
		if m, err := lc.Recv(); err == nil && m.Kind == link.Quit {
			fmt.Println("stopped")
			lc.Send(link.Message{Kind: link.Done})
			lc.Finish(time.Second)
			return
		}
	case "writes": // its own, and what it is told
		fmt.Println("own:", os.WriteFile("own", nil, 0o600))
		fmt.Println("other:", os.WriteFile(rest, nil, 0o600))
		_, err := net.Listen("tcp", "127.0.0.1:0")
		fmt.Println("listens:", err)
		os.Exit(0)
	case "refused":
		lc.Send(link.Message{Kind: link.Refused, Refusal: &refusal.Error{Reason: rest, Mend: "mend"}})
	case "refused and gone":
		lc.Send(link.Message{Kind: link.Refused, Refusal: &refusal.Error{Reason: rest, Mend: "mend"}})
		lc.Finish(time.Second)
		os.Exit(3)
	case "exits":
		fmt.Println(rest)
		os.Exit(3)
	case "logs fatal":
		lc.Deliver(link.Message{Kind: link.Log, Level: "error", Text: rest, Fields: map[string]string{"err": "no route"}}, enough)
		os.Exit(1)
	case "panics":
		fmt.Println("before")
		panic(rest)
	case "unlinks itself": // a plugin may close what it likes
		fmt.Println(rest)
		lc.Close()
	case "parent":
		cmd := exec.Command("/bin/sleep", "600")
		cmd.Stdout = os.Stdout
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Println(cmd.Process.Pid)
	}
	select {}
}

// try runs a trial of a file with the text, and looks for what it leaves.
func try(t *testing.T, ctx context.Context, text string, limit time.Duration) (Result, error) {
	t.Helper()
	t.Setenv("TRIAL_CELL", "1")
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	dir := t.TempDir()
	// Root's trials are another user's, who has to get there.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	file := filepath.Join(t.TempDir(), "h.so")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cell, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Trial{File: file, Cell: cell, Limit: limit, Env: []string{"TRIAL_CELL"}}.Run(ctx)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	return r, err
}

const enough = 30 * time.Second

func TestOutcomes(t *testing.T) {
	for _, tt := range []struct {
		text     string
		limit    time.Duration
		patterns []string
		reason   string
		output   string // a line of it
	}{
		{text: "ready:/b,GET /a/{x},/b", patterns: []string{"/b", "GET /a/{x}"}, output: "stopped"},
		{text: "ready:/b", patterns: []string{"/b"}, output: "logged"},
		{text: "ready:/b,no pattern at all", reason: "pattern"},
		{text: "refused:it does not suit", reason: "it does not suit"},
		{text: "refused and gone:it does not suit", reason: "it does not suit"},
		{text: "exits:good bye", reason: "ended before it was ready: exit status 3; it printed: good bye", output: "good bye"},
		{text: "logs fatal:no database", reason: "ended before it was ready: exit status 1; it printed: no database err=no route", output: "no database err=no route"},
		{text: "panics:a stone", reason: "ended before it was ready: exit status 2; it printed: panic: a stone", output: "before"},
		{text: "hangs", limit: 200 * time.Millisecond, reason: "was not ready within 200ms and was killed; it printed nothing"},
		{text: "unlinks itself:alone", limit: time.Second, reason: "was not ready within 1s and was killed; it printed: alone"},
	} {
		t.Run(tt.text, func(t *testing.T) {
			if tt.limit == 0 {
				tt.limit = enough
			}
			r, err := try(t, t.Context(), tt.text, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.Patterns, tt.patterns) || r.Took <= 0 || r.User == "" {
				t.Errorf("got %+v, want the patterns %q", r, tt.patterns)
			}
			if reason := ""; r.Refusal != nil {
				if reason = r.Refusal.Reason; tt.reason == "" || !strings.Contains(reason, tt.reason) || r.Refusal.Mend == "" {
					t.Errorf("refused: %v", r.Refusal)
				}
			} else if tt.reason != "" {
				t.Errorf("not refused, want %q", tt.reason)
			}
			if tt.output != "" && !slices.Contains(r.Output, tt.output) {
				t.Errorf("output %q, want %q", r.Output, tt.output)
			}
		})
	}
}

// TestWho shows that root's trials are another user's, in a folder of their own.
func TestWho(t *testing.T) {
	r, err := try(t, t.Context(), "ready:/a", enough)
	if err != nil {
		t.Fatal(err)
	}
	var uid int
	var wd string
	at := max(0, slices.IndexFunc(r.Output, func(line string) bool { return strings.HasPrefix(line, "uid ") }))
	if _, err := fmt.Sscanf(r.Output[at], "uid %d in %s", &uid, &wd); err != nil {
		t.Fatalf("output %q: %v", r.Output, err)
	}
	if uid == 0 || os.Geteuid() != 0 && uid != os.Geteuid() {
		t.Errorf("user %d runs a trial of user %d", uid, os.Geteuid())
	}
	if filepath.Dir(wd) != os.Getenv("TMPDIR") {
		t.Errorf("it ran in %q", wd)
	}
}

// TestConfined shows that a trial writes nothing but its own, and listens nowhere, whoever it runs as.
func TestConfined(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, nil, 0o666), os.Chmod(other, 0o666), os.Chmod(filepath.Dir(other), 0o777), os.Chmod(filepath.Dir(filepath.Dir(other)), 0o755)); err != nil {
		t.Fatal(err)
	}
	r, err := try(t, t.Context(), "writes:"+other, enough)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(r.Output, "\n")
	if !strings.Contains(said, "own: <nil>") || !strings.Contains(said, "other: open "+other+": permission denied") || !strings.Contains(said, "listens: listen tcp 127.0.0.1:0: bind: permission denied") {
		t.Errorf("it says:\n%s", said)
	}
}

// TestHeirs shows that what a handler starts ends with the trial.
func TestHeirs(t *testing.T) {
	r, err := try(t, t.Context(), "parent", time.Second)
	if err != nil || len(r.Output) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	pid, err := strconv.Atoi(r.Output[0])
	if err != nil {
		t.Fatal(err)
	}
	// It is init's now, which may take its time to reap it.
	for deadline := time.Now().Add(enough); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d goes on", pid)
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := time.AfterFunc(100*time.Millisecond, func() { cancel(errors.New("enough of this")) })
	defer stop.Stop()
	if r, err := try(t, ctx, "hangs", enough); err == nil || !strings.HasSuffix(err.Error(), "enough of this") {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestFolders shows that a folder that is of no use is passed over.
func TestFolders(t *testing.T) {
	t.Setenv("TRIAL_CELL", "1")
	cell, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "h.so")
	if err := os.WriteFile(file, []byte("ready:/a"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := t.TempDir() // to others: root's trials are another user's
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{closed, filepath.Join(closed, "none")} {
		t.Setenv("TMPDIR", dir)
		if r, err := (Trial{File: file, Cell: cell, Limit: enough, Env: []string{"TRIAL_CELL"}}).Run(t.Context()); err != nil || r.Refusal != nil {
			t.Errorf("%s: %+v, %v", dir, r, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("it left %q", left)
		}
	}
	for _, tt := range []struct{ file, cell, want string }{
		{filepath.Join(closed, "none.so"), cell, "none.so: no such file or directory"},
		{file, filepath.Join(closed, "none"), "none: no such file or directory"},
		{file, file, "exec format error"},
	} {
		_, err := Trial{File: tt.file, Cell: tt.cell, Limit: enough, Env: []string{"TRIAL_CELL"}}.Run(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("got %v, want … %s", err, tt.want)
		}
	}
	if left, _ := filepath.Glob("/var/tmp/plugserver-trial-*"); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}
