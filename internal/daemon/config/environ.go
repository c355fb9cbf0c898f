package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/words"
)

const envPrefix = "PLUGSERVER_"

// envFile is where the package's unit takes the environment from.
var envFile = "/etc/default/plugserverd"

// variable is the name in the environment of a flag.
func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnv sets the flags that were not given from PLUGSERVER_<NAME>, and notes
// the variables of such names that are no flag's.
func (c *Config) fromEnv(fs *flag.FlagSet, env []string) error {
	vars := make(map[string]string)
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && v != "" && strings.HasPrefix(k, envPrefix) {
			vars[k] = v
		}
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	c.given = given
	c.origins = make(map[string]string)
	var known []string
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		if f.Name == "version" {
			return
		}
		key := variable(f.Name)
		known = append(known, key)
		v, ok := vars[key]
		if !ok || given[f.Name] {
			return
		}
		c.origins[f.Name] = whereSet(key)
		if err := fs.Set(f.Name, v); err != nil {
			errs = append(errs, fmt.Errorf("%s is %q: %w", c.origins[f.Name], v, form(f, err)))
		}
	})
	for key := range vars {
		if !slices.Contains(known, key) {
			c.Notes = append(c.Notes, whereSet(key)+" is no setting"+words.DidYouMean(key, known))
		}
	}
	slices.Sort(c.Notes)
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrUsage, errors.Join(errs...))
	}
	return nil
}

// origin names a flag as whoever set it knows it.
func (c *Config) origin(flag string) string {
	if where, ok := c.origins[flag]; ok {
		return where
	}
	return "--" + flag
}

// whereSet names a variable and, where the unit's file sets it, the line.
func whereSet(key string) string {
	text, _ := os.ReadFile(envFile)
	for i, line := range slices.Backward(strings.Split(string(text), "\n")) {
		if name, _, ok := strings.Cut(line, "="); ok && strings.TrimSpace(name) == key {
			return fmt.Sprintf("%s, in line %d of %s,", key, i+1, envFile)
		}
	}
	return key + ", in the environment,"
}

// form adds to the error of a flag's value what a value looks like, where the
// error does not say so itself.
func form(f *flag.Flag, err error) error {
	get, ok := f.Value.(flag.Getter)
	if !ok {
		return err // one of ours, which says so
	}
	switch get.Get().(type) {
	case time.Duration:
		return errors.New("not a time; write one such as 500ms, 5s or 1m30s")
	case int, int64:
		return errors.New("not a whole number; write one such as " + f.DefValue)
	}
	return err
}

// reform is form for what package flag says of the command line.
func reform(fs *flag.FlagSet, err error) error {
	_, rest, ok := strings.Cut(err.Error(), `invalid value "`)
	if !ok {
		if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
			var known []string
			fs.VisitAll(func(f *flag.Flag) { known = append(known, "--"+f.Name) })
			return fmt.Errorf("there is no flag --%s%s", name, words.DidYouMean("--"+name, known))
		}
		return err
	}
	value, rest, _ := strings.Cut(rest, `" for flag -`)
	name, _, _ := strings.Cut(rest, ": ")
	if f := fs.Lookup(name); f != nil {
		if formed := form(f, nil); formed != nil {
			return fmt.Errorf("--%s is %q: %w", name, value, formed)
		}
	}
	return err
}
