package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/operator/cli"
)

// The man page tells every command and flag.
func TestManPage(t *testing.T) {
	text, err := os.ReadFile("../../packaging/deb/man/plugserverctl.1")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, c := range cli.All(commands()) {
		if !strings.Contains(page, "\n.It Cm "+c.Name) {
			t.Errorf("the man page has no %q", c.Name)
			continue
		}
		says := item(page, c.Name, cli.All(commands()))
		flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		c.Declare(flags)
		flags.VisitAll(func(f *flag.Flag) {
			name := "-" + f.Name
			if len(f.Name) == 1 {
				name = f.Name
			}
			// What several take stands once; --json is each one's own.
			if !strings.Contains(says, "Fl "+name) && (f.Name == "json" || !strings.Contains(page, "Fl "+name)) {
				t.Errorf("the man page has no --%s of %s", f.Name, c.Name)
			}
		})
	}
}

// item is what the man page says of a command: where it is listed, and its synopsis.
func item(page, command string, all []*cli.Command) string {
	_, text, _ := strings.Cut(page, "\n.It Cm "+command)
	for _, c := range all {
		text, _, _ = strings.Cut(text, "\n.It Cm "+c.Name)
	}
	_, text, _ = strings.Cut(strings.ReplaceAll(" "+text, "\n.Sh ", "\x00"), " ")
	text, _, _ = strings.Cut(text, "\x00")
	synopsis, _, _ := strings.Cut(page, "\n.Sh DESCRIPTION")
	for _, s := range strings.Split(synopsis, "\n.Nm\n")[1:] {
		if words, _, _ := strings.Cut(strings.TrimPrefix(s, ".Cm "), "\n"); slices.Contains(strings.Split(words, " | "), command) {
			text += "\n" + s
		}
	}
	return text
}

// Whatever a command comes to, a program can read it, and the man page names those of which that is not so.
func TestJSONEverywhere(t *testing.T) {
	none := []string{"watch", "completion", "help"} // watch prints lines of JSON; completion is a shell's, and help is for people
	for _, c := range cli.All(commands()) {
		flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
		c.Declare(flags)
		if (flags.Lookup("json") == nil) != slices.Contains(none, c.Name) {
			t.Errorf("%s has --json: %v", c.Name, flags.Lookup("json") != nil)
		}
	}
	page, err := os.ReadFile("../../packaging/deb/man/plugserverctl.1")
	if err != nil {
		t.Fatal(err)
	}
	_, says, _ := strings.Cut(string(page), "\nPrint one object in place of sentences or a table.\n")
	says, _, _ = strings.Cut(says, " .\n")
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\.Cm ([a-z-]+)`).FindAllStringSubmatch(says, -1) {
		told = append(told, m[1])
	}
	if !slices.Equal(told, none) {
		t.Errorf("plugserverctl(1) says that %q have no --json, it is %q", told, none)
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

// What is completed is what there is. The last line tells the shell what else may be: 0 any file,
// 4 nothing, 8 the files of these kinds, and folders, 16 folders.
func TestCompletion(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	serveNameful(t, socket)
	t.Setenv("PLUGSERVER_CONTROL", socket)
	t.Setenv("PLUGSERVER_STATE", t.TempDir())
	var first []string
	for _, c := range cli.All(commands()) {
		first = append(first, strings.Fields(c.Name)[0])
	}
	slices.Sort(first)
	for _, tt := range []struct{ line, want string }{
		{"", strings.Join(slices.Compact(first), " ") + " :4"},
		{"--control x rel", "release reload :4"},
		{"help insta", "install :4"},
		{"help cell ", "add build list remove :4"},
		{"fleet ", "diff history :4"},
		{"push ", ":4"},
		{"push r.example/shop:prod users.so ", "go so :8"},
		{"push --credentials ", ":0"},
		{"promote a ", ":4"},
		{"promote --if ", ":4"},
		{"check ", "so :8"},
		{"install --name x a", "go so :8"},
		{"build -o x ", "go :8"},
		{"build --tr", "--trimpath :4"},
		{"build --tags x ", "go :8"},
		{"build --tags ", ":4"},
		{"build -o ", ":0"},
		{"build --state ", ":16"},
		{"build --build-network o", "off on :4"},
		{"check --mux ", "chi gorilla httprouter std :4"},
		{"cell ", "add build list remove :4"},
		{"cell build ", "so :8"},
		{"cell add ", ":0"},
		{"cell remove ", ":4"},
		{"cell list --", "--cell --control --help --json --state :4"},
		{"install --na", "--name :4"},
		{"--con", "--control :4"},
		{"--control ", ":0"},
		{"status --re", "--resources :4"},
		{"status ", "bye users :4"}, // and none that would be expanded
		{"status bye ", "users :4"},
		{"remove ", "bye users :4"},
		{"remove bye ", ":4"},
		{"history --json u", "users :4"},
		{"disable ", "bye users :4"},
		{"enable b", "bye :4"},
		{"restart ", "bye users :4"},
		{"release ", "bye users :4"},
		{"show ", "bye users :4"},
		{"check-config a", ":0"},
		{"events ", "bye users :4"},
		{"watch u", "users :4"},
		{"rollback users ", "0123456789ab ba9876543210 :4"},
		{"rollback users 0123456789ab ", ":4"},
		{"--control /nowhere status ", ":4"},
		{"completion ", "bash fish zsh :4"},
		{"new ", ":4"},
		{"install --name ", ":4"},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"__completeNoDesc"}, strings.Split(tt.line, " ")...), &out, &errs); code != 0 {
			t.Errorf("%q: exit %d, %s", tt.line, code, &errs)
		}
		got := strings.Fields(out.String())
		slices.Sort(got[:len(got)-1])
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

func serveNameful(t *testing.T, socket string) {
	l, err := control.Listen(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(t.Context(), l, nameful{daemons["well"]}, api.Version{}, control.Operators{})
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// bashes is what bash-completion brings, as far as it is needed.
const bashes = `
compopt() { :; }
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cword=$COMP_CWORD; words=("${COMP_WORDS[@]}"); }
. <(plugserverctl completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9 COMP_LINE=$* COMP_POINT=$((${#COMP_LINE}))
__start_plugserverctl
printf '%s\n' "${COMPREPLY[@]}"`

// In bash, names come from the daemon, and none of them is expanded.
func TestCompletionInBash(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// testscript runs the command of the name that it is called by.
	if err := os.Symlink(self, filepath.Join(dir, "plugserverctl")); err != nil {
		t.Fatal(err)
	}
	serveNameful(t, filepath.Join(dir, "s"))
	for line, want := range map[string]string{"status ": "bye users", "rest": "restart", "rollback users ba": "ba9876543210", "status --js": "--json"} {
		cmd := exec.Command("bash", append([]string{"-c", bashes, "bash", "plugserverctl"}, strings.Split(line, " ")...)...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PLUGSERVER_CONTROL="+filepath.Join(dir, "s"), "PWNED="+filepath.Join(dir, "pwned"), "GORACE=atexit_sleep_ms=0")
		out, err := cmd.CombinedOutput()
		if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
			t.Errorf("%q: got %q, want %q, %v", line, got, want, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
		t.Error("a name was expanded by the shell")
	}
}

// Each shell has its script, and others are told which there are.
func TestCompletionScripts(t *testing.T) {
	for shell, says := range map[string]string{"bash": "complete -o default", "zsh": "#compdef plugserverctl", "fish": "complete -c plugserverctl"} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"completion", shell}, &out, &errs); code != 0 || !strings.Contains(out.String(), says) {
			t.Errorf("%s: exit %d, %s", shell, code, &errs)
		}
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"completion", "tcsh"}, &out, &errs); code != cli.ExitUsage || !strings.Contains(errs.String(), "want bash, zsh or fish") {
		t.Errorf("tcsh: exit %d, %s", code, &errs)
	}
}
