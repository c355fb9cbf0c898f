package ini

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bool reads a boolean. The error carries its fix.
func Bool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "yes", "true", "on":
		return true, nil
	case "0", "no", "false", "off":
		return false, nil
	}
	return false, errors.New("not a boolean; write yes or no")
}

// spans are the units of systemd.time(7) that an interval may have.
var spans = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
}

var span = regexp.MustCompile(`^([0-9]{1,9})\s*([a-z]*)\s*`)

// ErrLong says that a time is longer than Span was to read.
var ErrLong = errors.New("too long a time")

// Span reads a time in the words of systemd.time(7), of so much at the most; without a unit it
// is seconds.
func Span(s string, most time.Duration) (all time.Duration, err error) {
	for rest := s; rest != "" || s == ""; {
		m := span.FindStringSubmatch(rest)
		if m == nil || spans[m[2]] == 0 {
			return 0, errors.New("not a time; write seconds, or a time such as 500ms, 30s or 1min")
		}
		n, _ := strconv.Atoi(m[1]) // of 9 digits
		if time.Duration(n) > most/spans[m[2]] || all+time.Duration(n)*spans[m[2]] > most {
			return 0, ErrLong
		}
		all += time.Duration(n) * spans[m[2]]
		rest = rest[len(m[0]):]
	}
	return all, nil
}
