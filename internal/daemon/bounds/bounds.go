// Package bounds is what an operator lets a handler use of the processors and of the kernel's tasks, in the syntax of
// systemd.resource-control(5). Its errors carry their fix.
package bounds

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

const (
	minTasks = 16      // a cell's own threads, and some for its system calls
	minQuota = 100     // hundredths of a percent: less is less than the kernel's least slice
	maxQuota = 1 << 30 // likewise
	infinity = -1
)

// Bounds is what is set; the zero value is nothing. Two that are equal say the same.
type Bounds struct {
	CPUQuota int // hundredths of a percent of one processor; 0 is unset
	TasksMax Tasks
}

// Keys are those of a section, and what an assignment does.
func (b *Bounds) Keys() map[string]func(value string) error {
	return map[string]func(string) error{
		"CPUQuota": func(value string) (err error) {
			now := 0
			if value != "" {
				now, err = parseQuota(value)
			}
			if err == nil {
				b.CPUQuota = now
			}
			return err
		},
		"TasksMax": func(value string) (err error) {
			now := Tasks{}
			if value != "" {
				now, err = parseTasks(value)
			}
			if err == nil {
				b.TasksMax = now
			}
			return err
		},
	}
}

// Tasks is a number of processes and threads. The zero value is unset.
type Tasks struct {
	N    int // below 0 is no limit
	Part int // of those that the service may have, in hundredths of a percent, in the place of N; 0 is none
}

// Of is the number where the service may have so many; 0 is no limit.
func (t Tasks) Of(all int) int {
	if t.Part > 0 {
		return max(minTasks, int(int64(all)*int64(t.Part)/(100*100)))
	}
	return max(t.N, 0)
}

// percent is a part in digits, to hundredths.
var percent = regexp.MustCompile(`^([0-9]{1,9})(?:\.([0-9]{1,2}))?%$`)

// parsePercent reads a percentage, in hundredths of a percent.
func parsePercent(s string) (n int, ok bool) {
	m := percent.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, _ = strconv.Atoi(m[1] + (m[2] + "00")[:2]) // of 11 digits
	return n, true
}

// parseQuota reads a part of one processor from 1% on; more than 100% are several.
func parseQuota(s string) (int, error) {
	n, ok := parsePercent(s)
	switch {
	case !ok:
		return 0, errors.New("not a part of a processor; write one such as 50%, or 200% for two processors")
	case n < minQuota:
		return 0, errors.New("too little for a handler to run; the least is 1%")
	case n > maxQuota:
		return 0, errors.New("more than there can be; leave the value empty for no limit")
	}
	return n, nil
}

// parseTasks reads a number of processes and threads from 16 on, a percentage of those that the
// service may have, or "infinity".
func parseTasks(s string) (Tasks, error) {
	if s == "infinity" {
		return Tasks{N: infinity}, nil
	}
	if part, ok := parsePercent(s); ok {
		if part == 0 || part > 100*100 {
			return Tasks{}, errors.New("not a part of what the service may have; write one such as 10%, to 100%")
		}
		return Tasks{Part: part}, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return Tasks{}, errors.New("more than there can be; write infinity for no limit")
	case err != nil:
		return Tasks{}, errors.New("not a number of processes and threads; write one such as 64, a part of the service's such as 10%, or infinity")
	case n < minTasks:
		return Tasks{}, fmt.Errorf("too few for a handler to run; the least is %d", minTasks)
	}
	return Tasks{N: int(n)}, nil
}
