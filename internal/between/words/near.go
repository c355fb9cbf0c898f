package words

import (
	"slices"
	"strings"
)

// DidYouMean is a question behind a name that nothing has, "" where none of the
// known names is near: "; did you mean NAME?"
func DidYouMean(name string, known []string) string {
	if near := Near(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// Near returns which of the known names was meant, "" where none is so near:
// one to which a typing error or two lead, or that name is the beginning of.
func Near(name string, known []string) string {
	if len(name) > maxNear {
		return ""
	}
	best, least := "", 1+min(2, len(name)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if len(k) > maxNear {
			continue
		}
		n := distance(strings.ToLower(name), strings.ToLower(k))
		if n < least {
			best, least = k, n
		}
	}
	if best != "" || len(name) < 3 {
		return best
	}
	for _, k := range slices.Sorted(slices.Values(known)) {
		if strings.HasPrefix(k, name) {
			return k
		}
	}
	return ""
}

// maxNear bounds the names that are compared, in bytes.
const maxNear = 100

// distance is how many keys a typist got wrong between a and b: missed, doubled,
// mistaken or swapped (Damerau and Levenshtein).
func distance(a, b string) int {
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
