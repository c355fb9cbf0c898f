package internal

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// No fix says that a file is tried again in words that refusal.TakenAway does not know.
func TestTakenAwayKnowsThem(t *testing.T) {
	says := regexp.MustCompile(`"[^"\n]*(tried again|try this one again|copy the file again)[^"\n]*"`)
	for _, room := range []string{"between/refusal", "file/badfile", "build/badbuild"} {
		files, err := filepath.Glob(room + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := says.Find(text); found != nil && file != "between/refusal/taken.go" && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s: %s: have it end with one of taken.go", file, found)
			}
		}
	}
}
