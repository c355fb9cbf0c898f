package title

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestMain is, where it is told so, a process that shows what is known of it.
func TestMain(m *testing.M) {
	to, ok := os.LookupEnv("SET_TITLE")
	if !ok {
		os.Exit(m.Run())
	}
	Set(to)
	text, _ := os.ReadFile("/proc/self/cmdline")
	os.Stdout.WriteString(strings.Join(os.Args[1:], "|") + "\n" + string(text))
}

func TestSet(t *testing.T) {
	spare := "(spare)" + strings.Repeat(" ", 20)
	long := strings.Repeat("x", 100)
	for _, tt := range []struct{ title, args, shown string }{
		{"hello", "hello", "hello"},
		{"both: hello bye", "both: hello bye", "both: hello bye"},
		{long, long, long[:len(spare)]},
		{"", spare, spare},
		{spare, spare, spare},
	} {
		cmd := exec.Command("/proc/self/exe", spare)
		cmd.Env = append(os.Environ(), "SET_TITLE="+tt.title)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		args, shown, _ := strings.Cut(string(out), "\n")
		words := strings.Split(strings.TrimRight(shown, "\x00"), "\x00")
		if args != tt.args || !slices.Equal(words[1:], []string{tt.shown}) {
			t.Errorf("%q: os.Args are %q, ps shows %q", tt.title, args, words[1:])
		}
	}
}
