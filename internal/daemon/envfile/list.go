package envfile

import "strings"

// List is a list of texts without NUL, each followed by one: comparable, unlike a slice.
type List string

// All are the texts.
func (l List) All() []string {
	if l == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(l), "\x00"), "\x00")
}

// Adding is what an assignment of a key does of which every one holds until an empty one: it appends what
// parse makes of its value.
func (l *List) Adding(parse func(string) ([]string, error)) func(value string) error {
	return func(value string) error {
		if value == "" {
			*l = ""
			return nil
		}
		texts, err := parse(value)
		if err == nil && len(texts) > 0 {
			*l += List(strings.Join(texts, "\x00") + "\x00")
		}
		return err
	}
}
