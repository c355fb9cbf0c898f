package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

func FuzzReport(f *testing.F) {
	f.Add("users.so", "example.com/users", "v1.0.0", "-trimpath", "true", "built with other flags", 3)
	f.Add("\x1b[2J\n", "\u202e\u009b\xff", strings.Repeat("x", 300), "vcs.revision", "\n[OK] all is well", strings.Repeat("新", 300), 100)
	f.Fuzz(func(t *testing.T, file, path, version, setting, value, reason string, many int) {
		r := Report{File: file, Go: version, Package: path, Settings: map[string]string{setting: value, "vcs.revision": value}}
		s := Step{Name: stepCell, Reason: reason, Mend: reason, Output: []string{reason}}
		for range min(max(many, 0), 100) {
			r.Modules = append(r.Modules, module{path, version, value})
			r.Exports = append(r.Exports, setting)
			s.Mismatches = append(s.Mismatches, Mismatch{"flag", setting, value, version}, Mismatch{"package", path, value, version})
		}
		r.Steps = []Step{s}
		var b bytes.Buffer
		r.Write(&b, 100)
		verdicts := 0
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			checkPlain(t, line)
			if strings.HasPrefix(line, "[") {
				verdicts++
			}
		}
		if verdicts != 1 {
			t.Errorf("%d verdicts:\n%s", verdicts, &b)
		}
		var js bytes.Buffer
		var back Report
		if err := errors.Join(terminal.WriteJSON(&js, r), json.Unmarshal(js.Bytes(), &back)); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(js.String()) {
			checkPlain(t, strings.TrimSuffix(line, "\n"))
		}
	})
}

// checkPlain fails the test if a terminal could take s for more than text.
func checkPlain(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || 0x7f <= r && r < 0xa0 || 0x200b <= r && r <= 0x200f || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
	}) {
		t.Errorf("a terminal may act on %q", s)
	}
}
