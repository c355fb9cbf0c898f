package terminal

import (
	"fmt"
	"strconv"
	"time"
)

func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func PID(n int) string {
	if n <= 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// Age returns the time since t in its largest unit.
func Age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

// Of words what is used and what may be, "-" where that is not known.
func Of(used, limit string) string {
	if limit == "" || limit == "-" {
		return OrDash(used)
	}
	return OrDash(used) + "/" + limit
}

// Some returns n, and "" where it is not known.
func Some(n int) string {
	if n <= 0 {
		return ""
	}
	return Count(int64(n))
}

// Spent returns seconds of processor time.
func Spent(seconds float64) string {
	switch {
	case !(seconds > 0):
		return "-"
	case seconds < 99.95:
		return fmt.Sprintf("%.1fs", seconds)
	case seconds < 100*60:
		return fmt.Sprintf("%.0fm", seconds/60)
	}
	return Count(int64(seconds/3600)) + "h"
}

// Count returns n, in thousands and so on where it has more than 7 digits.
func Count(n int64) string {
	if n < 10_000_000 {
		return strconv.FormatInt(max(n, 0), 10)
	}
	return scale(n, 1000)
}

// Size returns n bytes in units of 1024 and its powers; 0 is not known.
func Size(n int64) string {
	if n <= 0 {
		return "-"
	}
	return scale(n, 1024)
}

// scale returns n with one digit after the point and the unit it is in, in at
// most seven characters.
func scale(n int64, base float64) string {
	f, unit := float64(n), 0
	for f >= base-0.05 { // else it is rounded up to it
		f /= base
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%.1f%c", f, " kMGTPE"[unit])
}
