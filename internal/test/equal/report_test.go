package equal

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// faults are the cases that differ and should not. A name that ends in ? differs
// only sometimes. Behind ~ stands a regexp of such, of which at least one differs,
// and behind ~? one of which perhaps none does. While handlers are replaced, the
// names that patterns are held against begin with "replaced/".
type faults struct {
	always, sometimes map[string]bool
	patterns          []*pattern
	lines             []string // comments and patterns, to be kept
}

type pattern struct {
	*regexp.Regexp
	perhaps         bool
	played, differs int
}

const faultsFile = "testdata/faults.txt"

func readFaults(t *testing.T) *faults {
	t.Helper()
	f := &faults{always: make(map[string]bool), sometimes: make(map[string]bool)}
	text, err := os.ReadFile(faultsFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, some := strings.CutSuffix(line, "?")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			f.lines = append(f.lines, line)
		case strings.HasPrefix(line, "~"):
			f.lines = append(f.lines, line)
			text, perhaps := strings.CutPrefix(line[1:], "?")
			f.patterns = append(f.patterns, &pattern{Regexp: regexp.MustCompile(strings.TrimSpace(text)), perhaps: perhaps})
		case some:
			f.sometimes[name] = true
		default:
			f.always[name] = true
		}
	}
	return f
}

// A pattern's cases need no lines of their own.
func (f *faults) checkCovered(t *testing.T) {
	t.Helper()
	for _, names := range []map[string]bool{f.always, f.sometimes} {
		for name := range names {
			if i := slices.IndexFunc(f.patterns, func(p *pattern) bool { return p.MatchString(name) }); i >= 0 {
				t.Errorf("%s is called like %v: delete its line in %s", name, f.patterns[i], faultsFile)
			}
		}
	}
}

// may reports whether the case is known to differ.
func (f *faults) may(name string) bool {
	return f.always[name] || f.sometimes[name] ||
		slices.ContainsFunc(f.patterns, func(p *pattern) bool { return p.MatchString(name) })
}

// count counts what the patterns have met.
func (f *faults) count(name string, o *outcome) {
	for _, p := range f.patterns {
		if p.MatchString(name) {
			p.played++
			if len(o.differing()) > 0 {
				p.differs++
			}
		}
	}
}

// turnedEqual are the cases that should differ by the list and did not.
func (b *board) turnedEqual(t *testing.T) (list []script) {
	known := readFaults(t)
	for _, s := range b.list {
		if known.always[s.name] && len(b.of[s.name].odd) == 0 {
			list = append(list, s)
		}
	}
	return list
}

// newlyDiffering are the cases that should be equal by the list, and were not;
// with -all, those that differ only sometimes, too.
func (b *board) newlyDiffering(t *testing.T) (list []script) {
	known := readFaults(t)
	for _, s := range b.list {
		o := b.of[s.name]
		if o.err == nil && len(o.differing()) > 0 && (*allFlag && !known.always[s.name] || !known.may(s.name) && !known.may(b.mode+s.name)) && intendedRow(o) == "" {
			list = append(list, s)
		}
	}
	return list
}

// chance is how many cases of a thousand may differ once in three runs: where
// bytes arrive at the moment that something ends, net/http itself varies on a
// busy machine.
const chance = 1

// sure is in how many runs a case has to differ, always, before it is called one that
// always does.
const sure = 5

// report compares the outcomes with what is known, and prints the counts.
func (b *board) report(t *testing.T) {
	t.Helper()
	known := readFaults(t)
	known.checkCovered(t)
	var equal, meant, faulty int
	var bad, once []*outcome
	kinds := make(map[string][]*outcome)
	next := append([]string(nil), known.lines...)
	for _, s := range b.list {
		o := b.of[s.name]
		may := known.may(s.name) || b.mode != "" && known.may(b.mode+s.name)
		known.count(b.mode+s.name, o)
		differed := len(o.differing())
		switch row := intendedRow(o); {
		case o.err != nil:
			t.Errorf("%s: %v", s.name, o.err)
			bad = append(bad, o)
		case differed == 0:
			equal++
			if known.always[s.name] && !*updateFlag && b.mode == "" {
				t.Errorf("%s has become equal: delete its line in %s, or run with -args -update", s.name, faultsFile)
			}
			if known.sometimes[s.name] {
				next = append(next, s.name+"?")
			}
		case row != "":
			meant++
		default:
			faulty++
			kinds[o.kind()] = append(kinds[o.kind()], o)
			switch {
			case may:
			case differed == 1 && o.runs == 3:
				once = append(once, o)
			default:
				bad = append(bad, o)
			}
			if differed == o.runs && o.runs >= sure && !strings.HasPrefix(s.name, "fuzz/") {
				next = append(next, s.name)
			} else if !may || known.sometimes[s.name] {
				next = append(next, s.name+"?")
			}
		}
		if *showFlag && differed > 0 {
			t.Logf("%s: %d of %d runs differ\nnet/http:   %v\nplugserver: %v", s.name, differed, o.runs, o.ref.all[0], o.differing()[0])
		}
	}
	for _, o := range once {
		t.Logf("%s: 1 of 3 runs differs\n%s", o.script.name, o.difference())
	}
	if len(once)*1000 > chance*len(b.list)+1000 {
		bad = append(bad, once...)
	}
	for _, p := range known.patterns {
		if p.played > 100 && p.differs == 0 && !p.perhaps && !testing.Short() {
			t.Errorf("all that is called like %v has become equal: delete its line in %s", p, faultsFile)
		}
	}
	if *updateFlag && b.mode == "" {
		known.write(t, b, next)
	} else {
		for i, o := range bad {
			if i == 20 {
				t.Errorf("… and %d more", len(bad)-i)
				break
			}
			t.Errorf("%s: %d of %d runs differ\n%s", o.script.name, len(o.differing()), o.runs, o.difference())
		}
	}
	if *kindsFlag != "" {
		writeKinds(t, b.mode, kinds, len(b.list), equal, meant, faulty)
	}
	t.Logf("%s: %d cases: %d equal, %d intended differences, %d known faults, %d new faults",
		cmp.Or(strings.TrimSuffix(b.mode, "/"), "at rest"), len(b.list), equal, meant, faulty-len(bad), len(bad))
}

// write writes the list anew; cases that were not played keep their lines.
func (f *faults) write(t *testing.T, b *board, lines []string) {
	t.Helper()
	for name := range f.always {
		if b.of[name] == nil {
			lines = append(lines, name)
		}
	}
	for name := range f.sometimes {
		if b.of[name] == nil {
			lines = append(lines, name+"?")
		}
	}
	slices.Sort(lines[len(f.lines):])
	if err := os.WriteFile(faultsFile, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// difference shows where the transcripts part.
func (o *outcome) difference() string {
	w, _ := o.ref.first()
	odd := o.differing()
	if len(odd) == 0 {
		return ""
	}
	g := odd[0]
	var text strings.Builder
	if w.got != g.got {
		i := 0
		for i < min(len(w.got), len(g.got)) && w.got[i] == g.got[i] {
			i++
		}
		around := func(s string) string { return s[max(0, i-60):min(len(s), i+160)] }
		fmt.Fprintf(&text, "  at byte %d of %d and %d\n    net/http:   %q\n    plugserver: %q\n", i, len(w.got), len(g.got), around(w.got), around(g.got))
	}
	if w.end != g.end {
		fmt.Fprintf(&text, "  end: net/http %s, plugserver %s\n", w.end, g.end)
	}
	if w.events != g.events {
		fmt.Fprintf(&text, "  told: net/http %q, plugserver %q\n", w.events, g.events)
	}
	return text.String()
}

var (
	statusLine = regexp.MustCompile(`(?m)^HTTP/1\.[01] (\d\d\d)`)
	word       = regexp.MustCompile(`[A-Za-z-]+`)
)

// kind says roughly what differs: statuses and end, else which lines.
func (o *outcome) kind() string {
	w, g := o.ref.all[0], o.differing()[0]
	brief := func(t transcript) string {
		var s []string
		for _, m := range statusLine.FindAllStringSubmatch(t.got, -1) {
			s = append(s, m[1])
		}
		if len(s) > 6 {
			s = append(s[:6], "…")
		}
		return strings.Join(append(s, t.end), " ")
	}
	if a, b := brief(w), brief(g); a != b {
		return fmt.Sprintf("[%s] becomes [%s]", a, b)
	}
	if w.got == g.got {
		return "what the handler is told (events)"
	}
	less, more := missing(w.got, g.got), missing(g.got, w.got)
	if less+more == "" {
		return "the order of lines"
	}
	return fmt.Sprintf("lines less: %s; more: %s", less, more)
}

// missing names the lines of a that b lacks.
func missing(a, b string) string {
	count := make(map[string]int)
	for line := range strings.Lines(b) {
		count[line]++
	}
	var words []string
	for line := range strings.Lines(a) {
		if count[line]--; count[line] < 0 {
			w := cmp.Or(word.FindString(line), "…")
			if (w == "header" || w == "trailer") && len(strings.Fields(line)) > 1 {
				w += " " + strings.Fields(line)[1]
			}
			if !slices.Contains(words, w) && len(words) < 6 {
				words = append(words, w)
			}
		}
	}
	return strings.Join(words, ", ")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func writeKinds(t *testing.T, mode string, kinds map[string][]*outcome, all, equal, meant, faulty int) {
	t.Helper()
	var names []string
	for kind := range kinds {
		names = append(names, kind)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(kinds[b]), len(kinds[a])), cmp.Compare(a, b))
	})
	var text strings.Builder
	fmt.Fprintf(&text, "%d cases: %d equal, %d intended differences, %d faults, of %d kinds\n\n", all, equal, meant, faulty, len(kinds))
	for _, kind := range names {
		o := kinds[kind][0]
		fmt.Fprintf(&text, "%d × %s\n  e.g. %s (%d of %d runs)\n%s", len(kinds[kind]), kind, o.script.name, len(o.differing()), o.runs, o.difference())
		families := make(map[string]int)
		for _, o := range kinds[kind] {
			family, _, _ := strings.Cut(o.script.name, "/")
			families[family]++
		}
		fmt.Fprintf(&text, "  in %v\n", families)
	}
	if err := os.WriteFile(*kindsFlag+strings.TrimSuffix(mode, "/"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
