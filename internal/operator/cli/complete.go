package cli

import (
	"context"
	"flag"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// completeWait bounds how long a shell waits for what the daemon knows.
const completeWait = 2 * time.Second

// arguments are the words that the next argument of c may be, of which some is there.
func (p *program) arguments(ctx context.Context, c *Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) >= c.most() {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if c.Complete != nil {
		ctx, cancel := context.WithTimeout(ctx, completeWait)
		defer cancel()
		words := c.Complete(ctx, p.session(args))
		if words == nil {
			return p.filesOf(c, args)
		}
		return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, begun) }), cobra.ShellCompDirectiveNoFileComp
	}
	return p.filesOf(c, args)
}

// filesOf are the files that the next argument of c may be, if it is one.
func (p *program) filesOf(c *Command, args []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names := strings.Fields(c.Args)
	name := strings.Trim(names[min(len(args), len(names)-1)], "[].")
	if name == "FILE" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var kinds []cobra.Completion
	for kind := range strings.SplitSeq(name, "|") {
		if _, extension, ok := strings.Cut(kind, "."); ok {
			kinds = append(kinds, extension)
		}
	}
	if kinds == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return kinds, cobra.ShellCompDirectiveFilterFileExt // and folders
}

// plain reports whether no shell expands a name; others are no handlers'.
func plain(name string) bool {
	for i, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && (i == 0 || !strings.ContainsRune("._=,-", r)) {
			return false
		}
	}
	return name != ""
}

// Handlers are the names of handlers that are not among the arguments yet.
func Handlers(ctx context.Context, s *Session) (names []string) {
	st, err := s.Client.Status(ctx)
	if err != nil {
		return nil
	}
	for _, h := range st.Handlers {
		if plain(h.Name) && !slices.Contains(s.Args, h.Name) {
			names = append(names, h.Name)
		}
	}
	return names
}

// Versions are a handler's name, and then its versions.
func Versions(ctx context.Context, s *Session) (names []string) {
	if len(s.Args) == 0 {
		return Handlers(ctx, s)
	}
	h, err := s.Client.History(ctx, s.Arg(0))
	if err != nil {
		return nil
	}
	for _, v := range h.Versions {
		names = append(names, v.Version)
	}
	return names
}

// files completes a flag whose value is one.
func files(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// oneOf is the beginning of the usage of a flag that has one of several values.
var oneOf = regexp.MustCompile(`^([a-z]+(?:, [a-z]+)*) or ([a-z]+):`)

// values completes a flag's, by what its usage calls it.
func values(f *flag.Flag) cobra.CompletionFunc {
	switch name, usage := flag.UnquoteUsage(f); {
	case oneOf.MatchString(usage):
		m := oneOf.FindStringSubmatch(usage)
		return cobra.FixedCompletions(append(strings.Split(m[1], ", "), m[2]), cobra.ShellCompDirectiveNoFileComp)
	case name == "PATH" || strings.HasPrefix(name, "FILE"):
		return files
	case name == "DIRECTORY":
		return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
	}
	return cobra.NoFileCompletions
}

var completion = Command{
	Name: "completion", Args: "bash|zsh|fish", Short: "print what has a shell complete commands, flags and handlers",
	Long:     "The package has it installed. Else, for the shell that runs: source <(plugserverctl completion bash).",
	Complete: func(context.Context, *Session) []string { return []string{"bash", "fish", "zsh"} },
	Bind: NoFlags(func(_ context.Context, s *Session) error {
		root := s.program.tree()
		switch s.Arg(0) {
		case "bash":
			return root.GenBashCompletionV2(s.Out, false)
		case "zsh":
			return root.GenZshCompletionNoDesc(s.Out)
		case "fish":
			return root.GenFishCompletion(s.Out, false)
		}
		return usageError{errShell}
	}),
}
