// Package canary has the terms on which a canary serves: a version of a handler that has a part of its
// requests, beside the version that has the others, the incumbent. It has the words for them in settings and commands.
package canary

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// suffix is what the name of a canary has behind that of its incumbent.
const suffix = ".canary"

// Name is the name of a handler's canary.
func Name(of string) string { return of + suffix }

// Of is the handler whose canary a name is, "" if it is none's.
func Of(name string) string {
	of, is := strings.CutSuffix(name, suffix)
	if !is {
		return ""
	}
	return of
}

// Incumbent is the handler on whose terms one of that name runs: that whose canary it is, or itself.
func Incumbent(name string) string {
	if of := Of(name); of != "" {
		return of
	}
	return name
}

// None is a part of 0, a time without end or no limit, where it was set: what is 0 was not set.
const None = -1

// Terms are those of one canary. The zero Terms set nothing.
type Terms struct {
	Weight int         `json:"weight,omitempty"` // its part of link.Whole requests
	Mirror int         `json:"mirror,omitempty"` // of how many of link.Whole safe requests it gets a copy; its answer is dropped
	Sticky link.Sticky `json:"sticky,omitempty"`
	Field  string      `json:"field,omitempty"` // the name of the cookie or header field
	// Apart says that Sticky is set, to none.
	Apart bool `json:"apart,omitempty"`
	// For is how long it is judged, before it is promoted.
	For time.Duration `json:"for,omitempty"`
	// MinRequests are those of each version without which it is not promoted.
	MinRequests int `json:"min_requests,omitempty"`
	// MaxSlowdown is how many times longer than the incumbent's its answers may take.
	MaxSlowdown float64 `json:"max_slowdown,omitempty"`
}

// What an operator has the daemon do about a canary.
const (
	Judge    = "judge"    // the one that is, on these terms
	Begin    = "begin"    // the one whose file is about to come, on these terms
	Promote  = "promote"  // now
	Withdraw = "withdraw" // now
)

// Encode is what Decode reads.
func (t Terms) Encode() string {
	text, _ := json.Marshal(t) // of numbers and words
	return string(text)
}

// Decode reads terms; "" sets nothing.
func Decode(text string) (t Terms, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &t)
	}
	return t, err
}

// What holds where nothing is set.
const (
	DefaultWeight      = link.Whole / 20
	DefaultFor         = 10 * time.Minute
	DefaultMinRequests = 500
	DefaultMaxSlowdown = 2
	// MostWeight leaves the incumbent enough to compare with.
	MostWeight = link.Whole / 2
)

// Over are the terms of t, and where it sets nothing those of base.
func (t Terms) Over(base Terms) Terms {
	t.Weight = cmp.Or(t.Weight, base.Weight)
	t.Mirror = cmp.Or(t.Mirror, base.Mirror)
	if t.Sticky == "" && !t.Apart {
		t.Sticky, t.Field, t.Apart = base.Sticky, base.Field, base.Apart
	}
	t.For = cmp.Or(t.For, base.For)
	t.MinRequests = cmp.Or(t.MinRequests, base.MinRequests)
	t.MaxSlowdown = cmp.Or(t.MaxSlowdown, base.MaxSlowdown)
	return t
}

// InForce are the terms with what holds where nothing is set; None is 0 in them, but for For. A canary that gets copies has no
// request of its own, unless a weight is set.
func (t Terms) InForce() Terms {
	if t.Weight == 0 && max(t.Mirror, 0) == 0 {
		t.Weight = DefaultWeight
	}
	t.For = cmp.Or(t.For, DefaultFor)
	t.MinRequests = cmp.Or(t.MinRequests, DefaultMinRequests)
	t.MaxSlowdown = cmp.Or(t.MaxSlowdown, DefaultMaxSlowdown)
	t.Weight, t.Mirror, t.MaxSlowdown = max(t.Weight, 0), max(t.Mirror, 0), max(t.MaxSlowdown, 0)
	return t
}

// String words what the canary gets: terms that are in force.
func (t Terms) String() string { return t.words("") }

// words are String's, where after stands behind by what a client is known.
func (t Terms) words(after string) string {
	var parts []string
	if t.Weight > 0 {
		part := percent(t.Weight) + " of the requests"
		switch t.Sticky {
		case link.StickyIP:
			part += ", by the client's address" + after
		case link.StickyCookie, link.StickyHeader:
			part += fmt.Sprintf(", by the %s %s", t.Sticky, t.Field) + after
		}
		parts = append(parts, part)
	}
	if t.Mirror > 0 {
		parts = append(parts, "copies of "+percent(t.Mirror)+" of the safe ones")
	}
	return strings.Join(parts, " and ")
}

// percent words a part of link.Whole.
func percent(part int) string {
	return strconv.FormatFloat(float64(part)*100/link.Whole, 'g', -1, 64) + " %"
}

// Keys are what a section of settings may assign. The time is parsed by span.
func (t *Terms) Keys(span func(string) (time.Duration, error)) map[string]func(value string) error {
	return map[string]func(string) error{
		"CanaryWeight":      func(s string) error { return assign(&t.Weight, s, ParseWeight) },
		"CanaryMirror":      func(s string) error { return assign(&t.Mirror, s, ParseMirror) },
		"CanarySticky":      t.SetSticky,
		"CanaryFor":         func(s string) error { return assign(&t.For, s, span) },
		"CanaryMinRequests": func(s string) error { return assign(&t.MinRequests, s, parseRequests) },
		"CanaryMaxSlowdown": func(s string) error { return assign(&t.MaxSlowdown, s, parseSlowdown) },
	}
}

// assign unsets for an empty value.
func assign[T any](to *T, value string, parse func(string) (T, error)) (err error) {
	var v T
	if value != "" {
		v, err = parse(value)
	}
	if err == nil {
		*to = v
	}
	return err
}

// ParseWeight reads a percentage to 50%. The error carries its fix, and does not quote s, as those of the others.
func ParseWeight(s string) (int, error) {
	part, err := parsePercent(s)
	if err == nil && part > MostWeight {
		return 0, errors.New("more than half of the requests leaves too few to compare with; write 50% at the most")
	}
	return part, err
}

// ParseMirror reads a percentage, or yes for all and no for none.
func ParseMirror(s string) (int, error) {
	switch strings.ToLower(s) { // as any boolean
	case "yes", "true", "on", "1":
		return link.Whole, nil
	case "no", "false", "off":
		return None, nil
	}
	part, err := parsePercent(s)
	if err != nil {
		return 0, errors.New("not a part of the requests; write yes or no, or a percentage such as 10%")
	}
	return part, nil
}

func parsePercent(s string) (int, error) {
	number, is := strings.CutSuffix(s, "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	part := int(n*link.Whole/100 + 0.5)
	switch {
	case s != "0" && !is, err != nil, !(n >= 0 && n <= 100):
		return 0, errors.New("not a part of the requests; write a percentage such as 5% or 0.5%")
	case n == 0:
		return None, nil
	case part == 0:
		return 0, errors.New("too small a part; the least is 0.01%")
	}
	return part, nil
}

// SetSticky sets by what a client is known whose requests all go to the same version: none, ip, cookie:NAME or header:NAME.
func (t *Terms) SetSticky(s string) error {
	by, name, named := strings.Cut(s, ":")
	sticky := link.Sticky(by)
	switch {
	case s == "":
		t.Sticky, t.Field, t.Apart = "", "", false
	case s == "none":
		t.Sticky, t.Field, t.Apart = "", "", true
	case sticky == link.StickyIP && !named, (sticky == link.StickyCookie || sticky == link.StickyHeader) && token(name):
		t.Sticky, t.Field, t.Apart = sticky, name, false
	default:
		return errors.New("not what a client is known by; write none, ip, cookie:NAME or header:NAME")
	}
	return nil
}

// token reports whether s can name a cookie and a header field (RFC 9110).
func token(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= mostField
}

// mostField bounds a name: each route of the handler has it.
const mostField = 100

func parseRequests(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n == 0 {
		return 0, errors.New("not a number of requests; write one such as 500")
	}
	return int(n), nil
}

func parseSlowdown(s string) (float64, error) {
	if s == "infinity" {
		return None, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 1 && f <= 1000) {
		return 0, errors.New("not a factor from 1 to 1000; write one such as 2 or 1.5, or infinity for times not to be judged")
	}
	return f, nil
}
