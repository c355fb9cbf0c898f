package main

import (
	"fmt"
	"strconv"
	"time"
)

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func pid(n int) string {
	if n <= 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// age returns the time since t in its largest unit.
func age(t, now time.Time) string {
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

// of words what is used and what may be, "-" where that is not known.
func of(used, limit string) string {
	if limit == "" || limit == "-" {
		return orDash(used)
	}
	return orDash(used) + "/" + limit
}

// some returns n, and "" where it is not known.
func some(n int) string {
	if n <= 0 {
		return ""
	}
	return count(int64(n))
}

// spent returns seconds of processor time.
func spent(seconds float64) string {
	switch {
	case !(seconds > 0):
		return "-"
	case seconds < 99.95:
		return fmt.Sprintf("%.1fs", seconds)
	case seconds < 100*60:
		return fmt.Sprintf("%.0fm", seconds/60)
	}
	return count(int64(seconds/3600)) + "h"
}

// count returns n, in thousands and so on where it has more than 7 digits.
func count(n int64) string {
	if n < 10_000_000 {
		return strconv.FormatInt(max(n, 0), 10)
	}
	return scale(n, 1000)
}

// size returns n bytes in units of 1024 and its powers; 0 is not known.
func size(n int64) string {
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
