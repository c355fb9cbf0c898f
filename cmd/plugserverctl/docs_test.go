package main

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/control"
)

// The man page tells every command and flag.
func TestManPage(t *testing.T) {
	text, err := os.ReadFile("../../packaging/deb/man/plugserverctl.1")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, c := range commands() {
		at := strings.Index(page, "\n.It Cm "+c.Name)
		if at < 0 {
			t.Errorf("the man page has no %q", c.Name)
			continue
		}
		flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		c.Bind(flags)
		flags.VisitAll(func(f *flag.Flag) {
			name := "-" + f.Name
			if len(f.Name) == 1 {
				name = f.Name
			}
			if !strings.Contains(page[at:], `Fl `+strings.ReplaceAll(name, "-", `\-`)) && !strings.Contains(page[at:], "Fl "+name) {
				t.Errorf("the man page has no --%s of %s", f.Name, c.Name)
			}
		})
	}
}

// nameful has a handler's name that a shell would expand.
type nameful struct{ daemon }

func (n nameful) Status(ctx context.Context) (api.Status, error) {
	st, err := n.daemon.Status(ctx)
	st.Handlers = append(st.Handlers, api.Handler{Name: `"$(touch $PWNED).so"`}, api.Handler{Name: `$(touch $PWNED)`})
	return st, err
}

func (n nameful) History(context.Context, string) (api.History, error) {
	return api.History{Versions: []api.Past{{Version: "0123456789ab"}, {Version: "ba9876543210"}}}, nil
}

// What the shell completes is what there is.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript runs the command of the name that it is called by.
	ctl := filepath.Join(dir, "plugserverctl")
	if err := os.Symlink(self, ctl); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.so", "b.txt", "c.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "s")
	l, err := control.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(t.Context(), l, nameful{daemons["well"]}, api.Version{})
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var first []string
	for _, c := range commands() {
		first = append(first, strings.Fields(c.Name)[0])
	}
	slices.Sort(first)
	for _, tt := range []struct {
		line string
		want []string
	}{
		{"", slices.Compact(first)},
		{"--control x rel", []string{"release", "reload"}},
		{"help insta", []string{"install"}},
		{"check ", []string{"a.so"}},
		{"install --name x a", []string{"a.so"}},
		{"install ", []string{"a.so", "c.go"}},
		{"build -o x ", []string{"c.go"}},
		{"build -", []string{"--asan", "--asmflags", "--build-network", "--build-timeout", "--buildvcs", "--cell", "--control", "--cover",
			"--gcflags", "--goroot", "--ldflags", "--mod", "--modfile", "--msan", "--overlay", "--pgo", "--race", "--state", "--tags", "--trimpath", "-o"}},
		{"build --tags x ", []string{"c.go"}},
		{"build --tags ", nil},
		{"build --build-network o", []string{"off", "on"}},
		{"cell ", []string{"add", "build", "list", "remove"}},
		{"cell build ", []string{"a.so"}},
		{"cell add ", []string{"a.so", "b.txt", "c.go", "plugserverctl", "s"}},
		{"cell list --", []string{"--cell", "--control", "--json", "--state"}},
		{"install --na", []string{"--name"}},
		{"--con", []string{"--control"}},
		{"status --re", []string{"--resources"}},
		{"remove ", []string{"bye", "users"}}, // and none that would be expanded
		{"history --json u", []string{"users"}},
		{"disable ", []string{"bye", "users"}},
		{"enable b", []string{"bye"}},
		{"restart ", []string{"bye", "users"}},
		{"show ", []string{"bye", "users"}},
		{"check-config a", []string{"a.so"}},
		{"events ", []string{"bye", "users"}},
		{"watch u", []string{"users"}},
		{"rollback users ", []string{"0123456789ab", "ba9876543210"}},
		{"rollback users 0123456789ab ", nil},
		{"new ", nil},
		{"install --name ", nil},
	} {
		words := append([]string{"plugserverctl"}, strings.Split(tt.line, " ")...)
		script := `. "$COMPLETION"; compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _plugserverctl "$CTL"
printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, append([]string{"-uc", script, "bash"}, words...)...)
		cmd.Dir = dir
		completion, err := filepath.Abs("../../packaging/deb/completion/plugserverctl")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(os.Environ(), "COMPLETION="+completion, "CTL="+ctl, "PLUGSERVER_CONTROL="+socket, "PWNED="+filepath.Join(dir, "pwned"), "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", tt.line, err, out)
			continue
		}
		got := strings.Fields(string(out))
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a name was expanded by the shell")
	}
}
