package settings

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/andrestc/go-plugserver/internal/handlerdir"
)

const (
	minMemory = 16 << 20 // bytes: the Go runtime, net/http and a plugin
	minNOFILE = 64
	nameRule  = "write a letter or digit, then at most 99 of letters, digits, '.', '_' and '-'"
)

// ParseMemory reads a number of bytes from 16M on, or "infinity". K, M, G and T
// behind the number are powers of 1024, as in systemd.resource-control(5). The
// error carries its mend, and does not quote s: package flag does.
func ParseMemory(s string) (int64, error) {
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
	case n<<shift < minMemory:
		return 0, fmt.Errorf("too little for a handler to run; the least is %dM", minMemory>>20)
	}
	return int64(n << shift), nil
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

func parseCell(s string) (string, error) {
	if !handlerdir.ValidName(s) {
		return "", errors.New("cannot name a cell; " + nameRule)
	}
	return s, nil
}

func parseGOROOT(s string) (string, error) {
	if !filepath.IsAbs(s) {
		return "", errors.New("not an absolute path; write one such as /usr/local/go, without quotes")
	}
	return filepath.Clean(s), nil
}
