package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/control"
	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/gobuild"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/routes"
	"github.com/andrestc/go-plugserver/internal/sd"
	"github.com/andrestc/go-plugserver/internal/settings"
	"github.com/andrestc/go-plugserver/internal/supervisor"
	"github.com/sirupsen/logrus"
)

var errUsage = errors.New("bad usage")

// config is what the flags and the environment say.
type config struct {
	listen       listFlag
	handlers     string
	state        string
	control      string
	cell         string
	poll         time.Duration
	startTimeout time.Duration
	drainTimeout time.Duration
	limits       link.Limits
	maxSize      int64
	crashLimit   crashFlag
	memoryMax    memoryFlag
	limitNOFILE  nofileFlag
	config       string
	build        choiceFlag
	buildCells   choiceFlag
	network      choiceFlag
	buildTimeout time.Duration
	cache        string
	logLevel     string
	logFormat    string
	version      bool

	origins map[string]string // of the flags that the environment has set: their variable, and where it stands
	notes   []string          // about the environment: nothing is refused for them
}

// cells is the folder of the cells that were built or added here.
func (c *config) cells() string { return filepath.Join(c.state, "cells") }

// store is the folder that the daemon alone writes.
func (c *config) store() string { return filepath.Join(c.state, "store") }

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
	n      int
	window time.Duration
}

func (f *crashFlag) String() string {
	if f.n == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%v", f.n, f.window)
}

func (f *crashFlag) Set(s string) error {
	count, window, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || !ok && n > 0 {
		return errors.New("want a number of crashes and a time, such as 3/60s, or 0")
	}
	f.n, f.window = n, 0
	if ok {
		if f.window, err = time.ParseDuration(window); err != nil || f.window <= 0 {
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

func (f *choiceFlag) String() string { return f.word }

func (f *choiceFlag) Set(s string) error {
	if !slices.Contains(f.words, s) {
		return fmt.Errorf("possible are %s", strings.Join(f.words, " and "))
	}
	f.word = s
	return nil
}

// builder is what builds with the toolchains that file names.
func (c *config) builder(file *settings.Settings) (*gobuild.Builder, error) {
	return gobuild.New(gobuild.Config{
		GOROOTs: file.GOROOTs(), Cache: c.cache, Network: c.network.word == "on", Timeout: c.buildTimeout,
		Root: true, // for cells, whose source is the daemon's own; other source is never compiled as root
	})
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

// settings are what holds for each handler: what file says, and where it says
// nothing the flags.
func (c *config) settings(file *settings.Settings) func(handler string) supervisor.Settings {
	return func(name string) supervisor.Settings {
		h := file.Handler(name)
		limits := fleet.Limits{Memory: int64(c.memoryMax), Descriptors: int(c.limitNOFILE)}
		if h.MemoryMax != 0 {
			limits.Memory = max(h.MemoryMax, 0) // settings.Infinity is none
		}
		if h.LimitNOFILE != 0 {
			limits.Descriptors = max(h.LimitNOFILE, 0)
		}
		rate := fleet.LogRate{Burst: h.LogRateLimitBurst, Interval: h.LogRateLimitInterval}
		return supervisor.Settings{Limits: limits, Log: rate, Group: h.Cell}
	}
}

// defaultCell is the cell beside this binary, where there is one.
func defaultCell() string {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "plugserver-cell")
		if _, err := os.Stat(beside); err == nil {
			return beside
		}
	}
	return "/usr/lib/plugserver/plugserver-cell"
}

// parse reads the flags, and for those not given the environment.
func parse(args, env []string, help io.Writer) (*config, error) {
	c := &config{}
	fs := flag.NewFlagSet("plugserverd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Var(&c.listen, "listen", "`address` to listen on, such as :8080, 127.0.0.1:0 or unix:/path; may be repeated (default :8080)")
	fs.StringVar(&c.handlers, "handlers", "/var/lib/plugserver/handlers", "`directory` of the handlers")
	fs.StringVar(&c.state, "state", "/var/lib/plugserver", "`directory` whose folder store is the daemon's own")
	fs.StringVar(&c.control, "control", control.DefaultPath, "`path` of the control socket")
	fs.StringVar(&c.cell, "cell", defaultCell(), "`path` of the cell's binary")
	fs.DurationVar(&c.poll, "poll", 5*time.Second, "look at the directory at least this often")
	fs.DurationVar(&c.startTimeout, "start-timeout", 10*time.Second, "how long a handler may take to become ready")
	fs.DurationVar(&c.drainTimeout, "drain-timeout", 30*time.Second, "how long requests may take to end when their handler is replaced or the daemon stops")
	fs.DurationVar(&c.limits.IdleTimeout, "idle-timeout", 2*time.Minute, "how long a connection may wait between two requests")
	fs.DurationVar(&c.limits.HeaderTimeout, "header-timeout", 10*time.Second, "how long a request's head may take to arrive")
	fs.IntVar(&c.limits.MaxHeaderBytes, "max-header-bytes", 1<<20, "largest head of a request, in `bytes`")
	fs.IntVar(&c.limits.MaxPatterns, "max-patterns", routes.MaxPatterns, "most patterns that a handler may have")
	fs.IntVar(&c.limits.MaxPatternBytes, "max-pattern-bytes", routes.MaxPatternBytes, "longest pattern of a handler, in `bytes`")
	fs.DurationVar(&c.limits.Hold, "hold", 2*time.Second, "how long a request waits for a handler that is being restarted before it is answered 503")
	c.crashLimit = crashFlag{3, time.Minute}
	fs.Var(&c.crashLimit, "crash-limit", "`crashes/time` after which a version is given up for an earlier one; 0 is never")
	fs.Var(&c.memoryMax, "memory-max", "most `memory` that a handler may use, such as 256M; infinity is no limit (default infinity)")
	fs.Var(&c.limitNOFILE, "limit-nofile", "most `descriptors` that a handler may have open; infinity is no limit but the daemon's own (default infinity)")
	fs.StringVar(&c.config, "config", settings.DefaultPath, "`file` of what holds for single handlers; see plugserverd.conf(5)")
	c.build, c.buildCells, c.network = choice("auto", "off"), choice("auto", "off"), choice("off", "on")
	fs.Var(&c.build, "build", "auto or off: whether to compile Go source in the directory, never as root")
	fs.Var(&c.buildCells, "build-cells", "auto or off: whether to build cells for plugins that no cell loads, where there is a Go toolchain")
	fs.Var(&c.network, "build-network", "on or off: whether go may fetch modules and toolchains for that")
	fs.DurationVar(&c.buildTimeout, "build-timeout", gobuild.DefaultTimeout, "how long one build may take")
	fs.StringVar(&c.cache, "cache", "", "`directory` of what builds need (default $CACHE_DIRECTORY, else cache in --state)")
	fs.Int64Var(&c.maxSize, "max-file-bytes", 512<<20, "largest handler file, in `bytes`")
	fs.StringVar(&c.logLevel, "log-level", "info", "error, warning, info or debug")
	fs.StringVar(&c.logFormat, "log-format", "auto", "auto, text or json")
	fs.BoolVar(&c.version, "version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, "Usage: plugserverd [flags]\n\nServes HTTP from the Go plugins in a directory. Each flag can also be set in the\nenvironment, as PLUGSERVER_<NAME>: PLUGSERVER_DRAIN_TIMEOUT=10s.\n\n")
			fs.SetOutput(help)
			fs.PrintDefaults()
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w; see plugserverd --help", errUsage, reform(fs, err))
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%w: unexpected argument %q; see plugserverd --help", errUsage, fs.Arg(0))
	}
	if err := c.fromEnv(fs, env); err != nil {
		return nil, err
	}
	if c.cache == "" {
		c.cache = filepath.Join(c.state, "cache")
		for _, kv := range env {
			if dir, ok := strings.CutPrefix(kv, "CACHE_DIRECTORY="); ok && dir != "" {
				c.cache = dir
			}
		}
	}
	if len(c.listen) == 0 {
		c.listen = listFlag{":8080"}
	}
	return c, c.check()
}

func (c *config) check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
		min   time.Duration
	}{
		{"poll", c.poll, 10 * time.Millisecond},
		{"start-timeout", c.startTimeout, time.Millisecond},
		{"drain-timeout", c.drainTimeout, 0},
		{"idle-timeout", c.limits.IdleTimeout, 0},
		{"header-timeout", c.limits.HeaderTimeout, 0},
		{"hold", c.limits.Hold, 0},
		{"build-timeout", c.buildTimeout, time.Second},
	} {
		if d.value < d.min {
			return fmt.Errorf("%w: %s is %v, the least is %v", errUsage, c.origin(d.name), d.value, d.min)
		}
	}
	if c.limits.MaxHeaderBytes < 1<<10 || c.limits.MaxHeaderBytes > 8<<20 {
		return fmt.Errorf("%w: %s is %d, from 1024 to %d are possible", errUsage, c.origin("max-header-bytes"), c.limits.MaxHeaderBytes, 8<<20)
	}
	for _, n := range []struct {
		name             string
		value, min, most int
	}{
		{"max-patterns", c.limits.MaxPatterns, 1, 100_000},
		{"max-pattern-bytes", c.limits.MaxPatternBytes, 16, 1 << 20},
	} {
		if n.value < n.min || n.value > n.most {
			return fmt.Errorf("%w: %s is %d, from %d to %d are possible", errUsage, c.origin(n.name), n.value, n.min, n.most)
		}
	}
	if c.maxSize < 1 {
		return fmt.Errorf("%w: %s is %d, the least is 1", errUsage, c.origin("max-file-bytes"), c.maxSize)
	}
	if _, err := logrus.ParseLevel(c.logLevel); err != nil {
		return fmt.Errorf("%w: %s is %q, possible are error, warning, info, debug", errUsage, c.origin("log-level"), c.logLevel)
	}
	switch c.logFormat {
	case "auto", "text", "json":
	default:
		return fmt.Errorf("%w: %s is %q, possible are auto, text, json", errUsage, c.origin("log-format"), c.logFormat)
	}
	return nil
}

// newLogger returns the logger, and what ends it. Where stderr is the journal
// and no format was asked for, records go there natively.
func newLogger(c *config, w io.Writer) (log *logrus.Logger, flush func()) {
	log = logrus.New()
	log.SetOutput(w)
	level, _ := logrus.ParseLevel(c.logLevel) // checked
	log.SetLevel(level)
	log.SetFormatter(newText(w))
	switch {
	case c.logFormat == "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	case c.logFormat == "auto" && sd.OnJournal():
		hook := sd.NewJournalHook()
		log.AddHook(hook)
		log.SetOutput(io.Discard)
		return log, func() { hook.Close(time.Second) }
	}
	return log, func() {}
}
