package settings

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/words"
	"github.com/andrestc/go-plugserver/internal/daemon/envfile"
	"github.com/andrestc/go-plugserver/internal/daemon/signers"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/ini"
)

// trailingComment is what systemd.syntax(7) takes for a part of the value.
var trailingComment = regexp.MustCompile(`\s[#;]`)

// keys are what a section may assign, and what an assignment does.
type keys map[string]func(value string) error

// apply takes over what a file's text says. The errors are those of its lines.
func (s *Settings) apply(file, text string) (errs []error) {
	var section keys // nil below a header that was refused
	header := ""
	for e, err := range ini.Parse(text) {
		switch {
		case err != nil: // the header of [Trust], for all that is known
			s.distrust = s.distrust || strings.Contains(text, "Trust")
		case e.Name == "":
			header = e.Section
			section, err = s.section(header)
			if name := handlerOf(e.Section); err == nil && name != "" && s.named[name] == "" {
				s.named[name] = fmt.Sprintf("%s:%d", file, e.Line)
			}
		case section != nil:
			if err = section.assign(e.Name, e.Value); err == nil && handlerOf(e.Section) != "" {
				s.note(handlerOf(e.Section), Assignment{e.Name, e.Value, fmt.Sprintf("%s:%d", file, e.Line)})
			}
		}
		if err != nil {
			s.distrust = s.distrust || strings.EqualFold(header, "Trust")
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, e.Line, err))
		}
	}
	return errs
}

// split takes a header apart: [KIND NAME].
func split(header string) (kind, name string) {
	if i := strings.IndexAny(header, " \t"); i >= 0 {
		return header[:i], strings.TrimSpace(header[i:])
	}
	return header, ""
}

// handlerOf is the handler that a header names, "" if it names none.
func handlerOf(header string) string {
	if kind, name := split(header); kind == "Handler" {
		return name
	}
	return ""
}

// section returns the keys of the section of that header.
func (s *Settings) section(header string) (keys, error) {
	kind, name := split(header)
	switch {
	case header == "Redirect":
		return s.redirectKeys(), nil
	case header == "TLS":
		return s.tlsKeys(), nil
	case header == "Trust":
		return signers.Keys(&s.trust, func(to *bool) func(string) error { return set(to, ini.Bool) }, read), nil
	case header == "Toolchains":
		return keys{"GOROOT": s.addGOROOT}, nil
	case kind == "Handler":
		return s.handler(name)
	case strings.EqualFold(kind, "Handler"):
		return nil, fmt.Errorf("unknown section %.60q; write [Handler NAME]", header)
	}
	for _, known := range []string{"Redirect", "TLS", "Toolchains", "Trust"} {
		if strings.EqualFold(header, known) {
			return nil, fmt.Errorf("unknown section %.60q; write [%s]", header, known)
		}
	}
	return nil, fmt.Errorf("unknown section %.60q; possible are [Handler NAME], [Redirect], [TLS], [Toolchains] and [Trust]", header)
}

func (s *Settings) handler(name string) (keys, error) {
	file, isFile := strings.CutSuffix(name, ".so")
	switch {
	case name == "":
		return nil, errors.New("section [Handler] names no handler; write [Handler NAME]")
	case isFile && handlerdir.ValidName(file):
		return nil, fmt.Errorf("%q is a file, not a handler; write [Handler %s]", name, file)
	case canary.Of(name) != "":
		return nil, fmt.Errorf("%q is a canary, which runs on the settings of its handler; write [Handler %s]", name, canary.Of(name))
	case !handlerdir.ValidName(name):
		return nil, fmt.Errorf("%.60q cannot name a handler; %s", name, nameRule)
	}
	h := s.handlers[name]
	if h == nil {
		h = new(Handler)
		s.handlers[name] = h
	}
	all := keys{
		"MemoryMax":   set(&h.MemoryMax, ParseMemory),
		"LimitNOFILE": set(&h.LimitNOFILE, ParseNOFILE),
		"Cell":        set(&h.Cell, parseCell),

		"LogRateLimitBurst":       set(&h.LogRateLimitBurst, parseBurst),
		"LogRateLimitIntervalSec": set(&h.LogRateLimitInterval, parseInterval),
	}
	maps.Copy(all, keys{
		"Trust":          set(&h.Trust, parseTrust),
		"AccessLog":      set(&h.AccessLog, parseSwitch),
		"Disabled":       set(&h.Disabled, ini.Bool),
		"MaxInFlight":    set(&h.MaxInFlight, parseInFlight),
		"MaxBodyBytes":   set(&h.MaxBodyBytes, ParseBody),
		"RequestTimeout": set(&h.RequestTimeout, parseTimeout),
		"DrainTimeout":   set(&h.DrainTimeout, parseTimeout),
		"HoldTimeout":    set(&h.HoldTimeout, parseHold),
	})
	maps.Copy(all, h.Environment.Keys(s.find))
	maps.Copy(all, h.Bounds.Keys())
	maps.Copy(all, h.Canary.Keys(parseTimeout))
	maps.Copy(all, h.Allowed.Keys(ini.Bool))
	maps.Copy(all, h.Given.Keys(s.find))
	return all, nil
}

// set assigns what parse makes of a value, and unsets for an empty one.
func set[T any](to *T, parse func(string) (T, error)) func(string) error {
	return func(value string) (err error) {
		var v T
		if value != "" {
			v, err = parse(value)
		}
		if err == nil {
			*to = v
		}
		return err
	}
}

func (s *Settings) addGOROOT(value string) error {
	if value == "" {
		s.goroots = nil
		return nil
	}
	path, err := parseGOROOT(value)
	if err == nil && !slices.Contains(s.goroots, path) {
		s.goroots = append(s.goroots, path)
	}
	return err
}

func (k keys) assign(name, value string) error {
	if assign := k[name]; assign != nil {
		if trailingComment.MatchString(value) && name != "Environment" && name != "SetCredential" { // which have quotes
			return fmt.Errorf("%s=%.60q: a comment is taken for a part of the value; put it on a line of its own", name, value)
		}
		switch err := assign(value); {
		case err == nil:
			return nil
		case errors.As(err, new(envfile.Secret)):
			return fmt.Errorf("%s=: %w", name, err)
		default:
			return fmt.Errorf("%s=%.60q: %w", name, value, err)
		}
	}
	known := slices.Sorted(maps.Keys(k))
	for _, other := range known {
		if strings.EqualFold(other, name) {
			return fmt.Errorf("unknown key %.60q; write %s=", name, other)
		}
	}
	if near := words.Near(name, known); near != "" {
		return fmt.Errorf("unknown key %.60q; did you mean %s=?", name, near)
	}
	return fmt.Errorf("unknown key %.60q; possible here: %s=", name, strings.Join(known, "=, "))
}
