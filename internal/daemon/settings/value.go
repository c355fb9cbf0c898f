package settings

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/ini"
)

const (
	minMemory = 16 << 20 // bytes: the Go runtime, net/http and a plugin
	minNOFILE = 64
	nameRule  = "write a letter or digit, then at most 99 of letters, digits, '.', '_' and '-'"
)

// ParseMemory reads a number of bytes from 16M on, or "infinity". K, M, G and T
// behind the number are powers of 1024, as in systemd.resource-control(5). The
// error carries its fix, and does not quote s: package flag does.
func ParseMemory(s string) (int64, error) {
	n, err := parseBytes(s)
	if err == nil && n != Infinity && n < minMemory {
		return 0, fmt.Errorf("too little for a handler to run; the least is %dM", minMemory>>20)
	}
	return n, err
}

// parseBytes is ParseMemory from 0 on.
func parseBytes(s string) (int64, error) {
	if s == "infinity" {
		return Infinity, nil
	}
	number, shift := s, 0
	if i := strings.IndexAny(s, "KMGT"); i >= 0 && i == len(s)-1 {
		number, shift = s[:i], 10*(1+strings.IndexByte("KMGT", s[i]))
	}
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrRange), n > math.MaxInt64>>shift:
		return 0, errors.New("more than there can be; write infinity for no limit")
	case err != nil:
		return 0, errors.New("not a size; write bytes, or a number with K, M, G or T such as 256M, or infinity")
	}
	return int64(n << shift), nil
}

// ParseBody reads a number of bytes from 1 on, or "infinity", as ParseMemory does.
func ParseBody(s string) (int64, error) {
	n, err := parseBytes(s)
	if err == nil && n == 0 {
		return 0, errors.New("no body at all could be sent; the least is 1")
	}
	return n, err
}

// parseInFlight reads a number of requests from 1 on, or "infinity".
func parseInFlight(s string) (int, error) {
	if s == "infinity" {
		return Infinity, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("more than there can be; write infinity for no limit")
	case err != nil, n == 0:
		return 0, errors.New("not a number of requests; write one such as 100, or infinity for no limit")
	}
	return int(n), nil
}

// ParseNOFILE reads a number of descriptors from 64 on, or "infinity". The error
// is as ParseMemory's.
func ParseNOFILE(s string) (int, error) {
	if s == "infinity" {
		return Infinity, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("more than there can be; write infinity for no limit")
	case err != nil:
		return 0, errors.New("not a number of descriptors; write one such as 1024, or infinity")
	case n < minNOFILE:
		return 0, fmt.Errorf("too few for a handler to run; the least is %d", minNOFILE)
	}
	return int(n), nil
}

// parseBurst reads a number of log records; 0 is no limit, as systemd.exec(5) has
// it.
func parseBurst(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("more than there can be; write 0 for no limit")
	case err != nil:
		return 0, errors.New("not a number of log records; write one such as 1000, or 0 for no limit")
	case n == 0:
		return Infinity, nil
	}
	return int(n), nil
}

const maxInterval = 24 * time.Hour

// parseTimeout reads a time above 0 in the words of systemd.time(7), to a day, or
// "infinity"; without a unit it is seconds.
func parseTimeout(s string) (time.Duration, error) {
	if s == "infinity" {
		return Infinity, nil
	}
	t, err := parseInterval(s)
	if err != nil || t == Infinity {
		return 0, errors.New("not a time above 0, of a day at the most; write seconds, or a time such as 500ms, 30s or 1min, or infinity")
	}
	return t, nil
}

// parseHold reads a time in the words of systemd.time(7), to a day; without a unit it is seconds, and 0 is not
// at all.
func parseHold(s string) (time.Duration, error) {
	t, err := parseInterval(s)
	if err != nil {
		return 0, errors.New("not a time, of a day at the most; write seconds, or a time such as 500ms, 30s or 1min, or 0 for not at all")
	}
	return t, nil
}

// parseInterval reads a time in the words of systemd.time(7), to a day; without a
// unit it is seconds, and 0 is no limit.
func parseInterval(s string) (time.Duration, error) {
	all, err := ini.Span(s, maxInterval)
	switch {
	case errors.Is(err, ini.ErrLong):
		return 0, errors.New("longer than a day; write 0 for no limit")
	case err != nil:
		return 0, fmt.Errorf("%w, or 0 for no limit", err)
	case all == 0:
		return Infinity, nil
	}
	return all, nil
}

func parseCell(s string) (string, error) {
	if !handlerdir.ValidName(s) {
		return "", errors.New("cannot name a cell; " + nameRule)
	}
	return s, nil
}

func parseTrust(s string) (string, error) {
	if !handlerdir.ValidName(s) {
		return "", errors.New("cannot name a group; " + nameRule)
	}
	return s, nil
}

func parseGOROOT(s string) (string, error) {
	if !filepath.IsAbs(s) {
		return "", errors.New("not an absolute path; write one such as /usr/local/go, without quotes")
	}
	return filepath.Clean(s), nil
}
