package ini

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// listing is what Parse yields, a line each.
func listing(text string) (got []string) {
	for e, err := range Parse(text) {
		switch {
		case err != nil:
			got = append(got, fmt.Sprintf("%d: error: %v", e.Line, err))
		case e.Name == "":
			got = append(got, fmt.Sprintf("%d: [%s]", e.Line, e.Section))
		default:
			got = append(got, fmt.Sprintf("%d: [%s] %s=%q", e.Line, e.Section, e.Name, e.Value))
		}
	}
	return got
}

func TestParse(t *testing.T) {
	long := "A=" + strings.Repeat("x", 2100)
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"blank lines and comments", "\n  \n# a\n ; b\n\t#c", nil},
		{"plain", "[One]\nA=1\nB = two words \n\n[Two x]\n; c\nC=", []string{
			"1: [One]", `2: [One] A="1"`, `3: [One] B="two words"`, "5: [Two x]", `7: [Two x] C=""`,
		}},
		{"indented", "  [One]  \n\tA\t=\t1", []string{"1: [One]", `2: [One] A="1"`}},
		{"one section twice", "[One]\nA=1\n[One]\nA=2", []string{"1: [One]", `2: [One] A="1"`, "3: [One]", `4: [One] A="2"`}},
		{"values are text", "[One]\nA=\"x\" # y\nB=%n=;", []string{"1: [One]", `2: [One] A="\"x\" # y"`, `3: [One] B="%n=;"`}},
		{"byte order mark", "\ufeff[One]\nA=\u00fc", []string{"1: [One]", `2: [One] A="ü"`}},
		{"CRLF", "[One]\r\n\r\nA=1\r\nB=a\\\r\nb\r\nC=3\r\n", []string{
			"1: [One]", `3: [One] A="1"`, `4: [One] B="a b"`, `6: [One] C="3"`,
		}},

		{"continued", "[One]\nA=a\\\n  b \\\nc\nB=2", []string{"1: [One]", `2: [One] A="a   b  c"`, `5: [One] B="2"`}},
		{"continued over comments", "[One]\nA=a\\\n# no\n ; no\\\nb\nB=2", []string{"1: [One]", `2: [One] A="a b"`, `6: [One] B="2"`}},
		{"a blank line ends it", "[One]\nA=a\\\n\nB=2", []string{"1: [One]", `2: [One] A="a"`, `4: [One] B="2"`}},
		{"no comment is continued", "[One]\n# a \\\nA=1", []string{"1: [One]", `3: [One] A="1"`}},
		{"escaped backslash", `[One]` + "\n" + `A=a\\` + "\nB=2", []string{"1: [One]", `2: [One] A="a\\\\"`, `3: [One] B="2"`}},
		{"three backslashes", `[One]` + "\n" + `A=a\\\` + "\nb", []string{"1: [One]", `2: [One] A="a\\\\ b"`}},
		{"space after the backslash", "[One]\nA=a\\ \nB=2", []string{"1: [One]", `2: [One] A="a\\"`, `3: [One] B="2"`}},
		{"continued at the end", "[One]\nA=a\\", []string{"1: [One]", `2: [One] A="a"`}},
		{"continued before it begins", "[One]\n\\\nA=1\nB=2", []string{"1: [One]", `2: [One] A="1"`, `4: [One] B="2"`}},
		{"continued header", "[One \\\ntwo]\nA=1", []string{"1: [One  two]", `3: [One  two] A="1"`}},

		{"before any section", "A=1\nnoise\n[One]\nB=2", []string{
			`1: error: "A=1" stands before any section; put it below a line [NAME]`,
			`2: error: "noise" stands before any section; put it below a line [NAME]`,
			"3: [One]", `4: [One] B="2"`,
		}},
		{"no assignment", "[One]\nA\n= 1\nB=2", []string{
			"1: [One]",
			`2: error: "A" is no assignment; write NAME=VALUE`,
			`3: error: "= 1" is no assignment; write NAME=VALUE`,
			`4: [One] B="2"`,
		}},
		{"no header", "[One]\nA=1\n[Two\nA=2\nnoise\n[Three] x\n[]\n[ ]\n[a]]\n[Four]\nA=4", []string{
			"1: [One]", `2: [One] A="1"`,
			`3: error: "[Two" is no section header; write [NAME], alone on its line`,
			`6: error: "[Three] x" is no section header; write [NAME], alone on its line`,
			`7: error: "[]" is no section header; write [NAME], alone on its line`,
			`8: error: "[ ]" is no section header; write [NAME], alone on its line`,
			`9: error: "[a]]" is no section header; write [NAME], alone on its line`,
			"10: [Four]", `11: [Four] A="4"`,
		}},
		{"long lines", "[One]\n" + long + "\n[" + long + "]\nA=1\n[Two]\nA=\\\n" + long[2:] + "\nB=2", []string{
			"1: [One]",
			"2: error: line is longer than 2048 bytes; shorten it",
			"3: error: line is longer than 2048 bytes; shorten it",
			"5: [Two]",
			"6: error: line is longer than 2048 bytes; shorten it",
			`8: [Two] B="2"`,
		}},
		{"a long line is quoted in part", "[One]\n" + strings.Repeat("x", 1000), []string{
			"1: [One]", `2: error: "` + strings.Repeat("x", 60) + `" is no assignment; write NAME=VALUE`,
		}},
		{"UTF-16", "\xff\xfe[\x00O\x00", []string{"1: error: byte 0xff belongs in no text; save the file as UTF-8"}},
		{"Latin-1 in a comment", "[One]\n# f\xfcr\nA=1", []string{"2: error: byte 0xfc belongs in no text; save the file as UTF-8"}},
		{"NUL", "[One]\nA=1\n\n\x00", []string{"4: error: byte 0x00 belongs in no text; save the file as UTF-8"}},
		{"escape", "[One]\nA=\x1b[31m", []string{"2: error: byte 0x1b belongs in no text; save the file as UTF-8"}},
		{"a carriage return alone", "[One]\rA=1", []string{"1: error: byte 0x0d belongs in no text; save the file as UTF-8"}},
		{"the replacement character is text", "[One]\nA=\ufffd", []string{"1: [One]", `2: [One] A="` + "\ufffd" + `"`}},
	} {
		if got := listing(tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, strings.Join(got, "\n     "), strings.Join(tt.want, "\n     "))
		}
	}
}

// A reader may stop anywhere.
func TestParseStops(t *testing.T) {
	const text = "noise\n[One]\nA=1\nB=2\\"
	for most := range len(listing(text)) + 1 {
		n := 0
		for range Parse(text) {
			if n++; n > most {
				break
			}
		}
	}
}

// What is read, written plainly, says the same; and its lines are those of the
// text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"[One]\nA=1\n", "\ufeff[One]\r\nA=a\\\r\n # c\r\n b\r\n", "A=1\n[\n[x]y\n[z]\n=\n", "[a]\nb=\\ \\\n", "\x00", "[a]\nb=c\\\\\\\nd",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		var entries []Entry
		var plain strings.Builder
		last := 0
		for e, err := range Parse(text) {
			if e.Line <= last || e.Line > len(lines) {
				t.Fatalf("%+v is on line %d, after %d, of %d", e, e.Line, last, len(lines))
			}
			last = e.Line
			switch line := strings.TrimSpace(lines[e.Line-1]); {
			case err != nil:
				if (e != Entry{Line: e.Line}) || !strings.Contains(err.Error(), "; ") {
					t.Fatalf("%+v: %v", e, err)
				}
				continue
			case e.Name == "":
				fmt.Fprintf(&plain, "[%s]\n", e.Section)
				if !strings.HasPrefix(line, "[") && line != `\` {
					t.Fatalf("%+v is not on its line %q", e, line)
				}
			default:
				fmt.Fprintf(&plain, "[%s]\n%s=%s \n", e.Section, e.Name, e.Value)
				entries = append(entries, Entry{Section: e.Section})
			}
			entries = append(entries, e)
		}
		i := 0
		for e, err := range Parse(plain.String()) {
			if i == len(entries) {
				t.Fatalf("%+v is one too many", e)
			}
			want := entries[i]
			i++
			if want.Line, e.Line = 0, 0; err != nil || e != want {
				t.Fatalf("%+v, %v; want %+v", e, err, want)
			}
		}
		if i != len(entries) {
			t.Fatalf("%d entries, want %d", i, len(entries))
		}
	})
}
