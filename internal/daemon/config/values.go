package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

// listFlag is a flag that may be given several times; once, with commas, does
// as well.
type listFlag []string

func (l *listFlag) String() string { return strings.Join(*l, ",") }

func (l *listFlag) Set(s string) error {
	for _, v := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		*l = append(*l, v)
	}
	return nil
}

// crashFlag is so many crashes within a time.
type crashFlag struct {
	N      int // 0 is no limit
	Window time.Duration
}

func (f *crashFlag) String() string {
	if f.N == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%v", f.N, f.Window)
}

func (f *crashFlag) Set(s string) error {
	count, window, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || !ok && n > 0 {
		return errors.New("want a number of crashes and a time, such as 3/60s, or 0")
	}
	f.N, f.Window = n, 0
	if ok {
		if f.Window, err = time.ParseDuration(window); err != nil || f.Window <= 0 {
			return errors.New("want a time above 0 after the slash, such as 3/60s")
		}
	}
	return nil
}

// choiceFlag is one of a few words.
type choiceFlag struct {
	word  string
	words []string
}

// choice may be any of the words; the first is the default.
func choice(words ...string) choiceFlag { return choiceFlag{words[0], words} }

// On reports whether it is the word auto, or on.
func (f *choiceFlag) On() bool { return f.word == "auto" || f.word == "on" }

func (f *choiceFlag) String() string { return f.word }

func (f *choiceFlag) Set(s string) error {
	if !slices.Contains(f.words, s) {
		return fmt.Errorf("possible are %s", strings.Join(f.words, " and "))
	}
	f.word = s
	return nil
}

// memoryFlag is a limit on memory in bytes; 0 is none.
type memoryFlag int64

func (f *memoryFlag) String() string {
	if *f == 0 {
		return "infinity"
	}
	return strconv.FormatInt(int64(*f), 10)
}

func (f *memoryFlag) Set(s string) error {
	n, err := settings.ParseMemory(s)
	*f = memoryFlag(max(n, 0))
	return err
}

// nofileFlag is a limit on descriptors; 0 is none.
type nofileFlag int

func (f *nofileFlag) String() string {
	if *f == 0 {
		return "infinity"
	}
	return strconv.Itoa(int(*f))
}

func (f *nofileFlag) Set(s string) error {
	n, err := settings.ParseNOFILE(s)
	*f = nofileFlag(max(n, 0))
	return err
}

// bodyFlag is a limit on requests' bodies in bytes; 0 is none.
type bodyFlag int64

func (f *bodyFlag) String() string { return (*memoryFlag)(f).String() }

func (f *bodyFlag) Set(s string) error {
	n, err := settings.ParseBody(s)
	*f = bodyFlag(max(n, 0))
	return err
}
