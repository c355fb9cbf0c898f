// Package config is what the flags of plugserverd and its environment say, and what
// follows from them and the configuration file for the rooms.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/envfile"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/andrestc/go-plugserver/internal/file/synced"
	"github.com/andrestc/go-plugserver/internal/serve/proxied"
	"github.com/sirupsen/logrus"
)

// ErrUsage is in the chain of every error about a flag or a variable.
var ErrUsage = errors.New("bad usage")

// Config is what the flags and the environment say.
type Config struct {
	Listen          listFlag
	AdminListen     string
	Handlers        string
	State           string
	Control         string
	AdminGroup      string
	CellSocket      string // of the service manager, who starts a unit for who connects
	Credentials     string // the folder, on no disk, of Keep; "" is the control socket's
	Cell            string
	Poll            time.Duration
	StartTimeout    time.Duration
	DrainTimeout    time.Duration
	Limits          link.Limits
	MaxSize         int64
	CrashLimit      crashFlag
	MemoryMax       memoryFlag
	LimitNOFILE     nofileFlag
	MaxBody         bodyFlag
	PassEnvironment listFlag
	Config          string
	HTTP2           choiceFlag
	Build           choiceFlag
	BuildCells      choiceFlag
	Network         choiceFlag
	Sandbox         choiceFlag
	BuildTimeout    time.Duration
	Cache           string
	LogLevel        string
	LogFormat       string
	LogOutput       choiceFlag
	AccessLog       string // a path, or a word of package accesslog; "" is none
	AccessLogFormat choiceFlag
	Proxies         listFlag
	ProxyHeader     choiceFlag
	Trust           choiceFlag
	Version         bool

	Groups proc.Groups // not of a flag: where handlers get control groups

	given   map[string]bool   // the flags that the command line has set
	origins map[string]string // of the flags that the environment has set: their variable, and where it stands
	Notes   []string          // about the environment: nothing is refused for them
}

// Cells is the folder of the cells that were built or added here.
func (c *Config) Cells() string { return filepath.Join(c.State, "cells") }

// ACME is the folder of what was obtained by ACME, and of the keys: the certifier's own.
func (c *Config) ACME() string { return filepath.Join(c.State, "acme") }

// Syncs is the folder where plugserverctl sync keeps what it remembers: it is not the daemon's.
func (c *Config) Syncs() string { return synced.Folder(c.State) }

// Store is the folder that the daemon alone writes.
func (c *Config) Store() string { return filepath.Join(c.State, "store") }

// Lend has connections of clients stay with the gate where file, or a flag, says that
// handlers do not trust each other, or where the file says nobody knows what: handlers keep what they were given. It
// holds for as long as the daemon runs.
func (c *Config) Lend(file *settings.Settings, misread error) {
	c.Limits.Lends = c.Trust.word == "each" || file.Trusts() || misread != nil
}

// Lending refuses settings of file that come too late for that.
func (c *Config) Lending(file *settings.Settings) error {
	if file.Trusts() && !c.Limits.Lends {
		return errors.New("a handler has Trust= now, and handlers have been given connections of clients already: restart plugserver (systemctl restart plugserver)")
	}
	return nil
}

// declare declares the flags.
func (c *Config) declare(fs *flag.FlagSet) {
	fs.Var(&c.Listen, "listen", "`address` to listen on, such as :8080, 127.0.0.1:0 or unix:/path; may be repeated (default :8080)")
	fs.StringVar(&c.AdminListen, "admin-listen", "", "`address` to serve /metrics, /healthz and /readyz on, to whoever can connect, such as 127.0.0.1:9464 or unix:/path (default none)")
	fs.StringVar(&c.Handlers, "handlers", "/var/lib/plugserver/handlers", "`directory` of the handlers")
	fs.StringVar(&c.State, "state", "/var/lib/plugserver", "`directory` whose folder store is the daemon's own")
	fs.StringVar(&c.Control, "control", control.DefaultPath, "`path` of the control socket")
	fs.StringVar(&c.AdminGroup, "admin-group", "", "`group` whose members may, with root, use the control socket, and nobody else of the daemon's user (default none: that user and its group may)")
	fs.StringVar(&c.Credentials, "credentials", "", "`directory`, on a tmpfs, for the credentials of handlers while they run (default that of the control socket)")
	fs.StringVar(&c.Cell, "cell", catalogue.PackagedPath(), "`path` of the cell's binary")
	fs.StringVar(&c.CellSocket, "cell-socket", "/run/plugserver-cell.socket", "`path` of the socket of systemd's that starts a unit for each process of handlers with Isolation=unit")
	fs.DurationVar(&c.Poll, "poll", 5*time.Second, "look at the directory at least this often")
	fs.DurationVar(&c.StartTimeout, "start-timeout", 10*time.Second, "how long a handler may take to become ready")
	fs.DurationVar(&c.DrainTimeout, "drain-timeout", 30*time.Second, "how long requests may take to end when their handler is replaced or the daemon stops")
	fs.DurationVar(&c.Limits.IdleTimeout, "idle-timeout", 2*time.Minute, "how long a connection may wait between two requests")
	fs.DurationVar(&c.Limits.HeaderTimeout, "header-timeout", 10*time.Second, "how long a request's head may take to arrive")
	fs.DurationVar(&c.Limits.WriteTimeout, "write-timeout", 2*time.Minute, "how long a client may take nothing of what it is sent; 0 is without end")
	fs.IntVar(&c.Limits.MaxHeaderBytes, "max-header-bytes", 64<<10, "largest head of a request, in `bytes`")
	fs.IntVar(&c.Limits.MaxConns, "max-connections", 0, "most `connections` of clients; those beyond wait to be accepted; 0 is no limit")
	fs.Var(&c.MaxBody, "max-body", "longest body of a request, a `size` such as 10M; infinity is no limit (default infinity)")
	fs.IntVar(&c.Limits.MaxPatterns, "max-patterns", routes.MaxPatterns, "most patterns that a handler may have")
	fs.IntVar(&c.Limits.MaxPatternBytes, "max-pattern-bytes", routes.MaxPatternBytes, "longest pattern of a handler, in `bytes`")
	c.Limits.Mux = routes.Std
	fs.Var(&c.Limits.Mux, "mux", routes.Dialects+": the `router` whose patterns handlers give, std being net/http.ServeMux's")
	fs.DurationVar(&c.Limits.Hold, "hold", 2*time.Second, "how long a request waits for a handler that is being restarted before it is answered 503")
	c.HTTP2 = choice(string(link.HTTP2OverTLS), string(link.HTTP2All), string(link.HTTP2Off))
	fs.Var(&c.HTTP2, "http2", "tls, all or off: whether to speak HTTP/2 over TLS alone, also in the clear with prior knowledge (h2c), or not at all")
	c.CrashLimit = crashFlag{3, time.Minute}
	fs.Var(&c.CrashLimit, "crash-limit", "`crashes/time` after which a version is given up for an earlier one; 0 is never")
	fs.Var(&c.MemoryMax, "memory-max", "most `memory` that a handler may use, such as 256M; infinity is no limit (default infinity)")
	fs.Var(&c.LimitNOFILE, "limit-nofile", "most `descriptors` that a handler may have open; infinity is no limit but the daemon's own (default infinity)")
	fs.Var(&c.PassEnvironment, "pass-environment", "`names` of the variables that every handler gets of the daemon's environment, beside PATH and its like; may be repeated")
	c.Sandbox = choice("on", "off")
	fs.Var(&c.Sandbox, "sandbox", "on or off: whether each handler's process is confined, but for those with NoSandbox=yes")
	c.Trust = choice("one", "each")
	fs.Var(&c.Trust, "trust", "one or each: whether all handlers trust each other with the connections of clients, but for those with Trust=, or none does")
	fs.StringVar(&c.Config, "config", settings.DefaultPath, "`file` of what holds for single handlers; see plugserverd.conf(5)")
	c.Build, c.BuildCells, c.Network = choice("auto", "off"), choice("auto", "off"), choice("off", "on")
	fs.Var(&c.Build, "build", "auto or off: whether to compile Go source in the directory, never as root")
	fs.Var(&c.BuildCells, "build-cells", "auto or off: whether to build cells for plugins that no cell loads, where there is a Go toolchain")
	fs.Var(&c.Network, "build-network", "on or off: whether go may fetch modules and toolchains for that")
	fs.DurationVar(&c.BuildTimeout, "build-timeout", gobuild.DefaultTimeout, "how long one build may take")
	fs.StringVar(&c.Cache, "cache", "", "`directory` of what builds need (default $CACHE_DIRECTORY, else cache in --state)")
	fs.Int64Var(&c.MaxSize, "max-file-bytes", 512<<20, "largest handler file, in `bytes`")
	fs.StringVar(&c.LogLevel, "log-level", "info", "error, warning, info or debug")
	fs.StringVar(&c.LogFormat, "log-format", "auto", "auto, text or json")
	c.LogOutput = choice("stderr", "stdout")
	fs.Var(&c.LogOutput, "log-output", "stderr or stdout: where the log goes")
	fs.StringVar(&c.AccessLog, "access-log", "", "`file` to which a line is appended for each request, or journal, or stdout; a reload opens it again (default none)")
	c.AccessLogFormat = choice(string(access.Combined), string(access.JSON))
	fs.Var(&c.AccessLogFormat, "access-log-format", "combined or json: what such a line looks like")
	fs.Var(&c.Proxies, "trusted-proxies", "`networks` of the proxies that are believed who a client is, such as 10.0.0.0/8, or unix; may be repeated (default none)")
	c.ProxyHeader = choice(string(proxied.XForwardedFor), string(proxied.Forwarded))
	fs.Var(&c.ProxyHeader, "trusted-proxy-header", "x-forwarded-for or forwarded: the `field` by which they say so")
	fs.BoolVar(&c.Version, "version", false, "print the version and exit")
}

// Parse reads the flags, and for those not given the environment.
func Parse(args, env []string, help io.Writer) (*Config, error) {
	c := &Config{}
	fs := flag.NewFlagSet("plugserverd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	c.declare(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, "Usage: plugserverd [flags]\n\nServes HTTP from the Go plugins in a directory. Each flag can also be set in the\nenvironment, as PLUGSERVER_<NAME>: PLUGSERVER_DRAIN_TIMEOUT=10s.\n\n")
			fs.SetOutput(help)
			fs.PrintDefaults()
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w; see plugserverd --help", ErrUsage, reform(fs, err))
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%w: unexpected argument %q; see plugserverd --help", ErrUsage, fs.Arg(0))
	}
	if err := c.fromEnv(fs, env); err != nil {
		return nil, err
	}
	c.Limits.HTTP2 = link.HTTP2(c.HTTP2.word)
	c.Limits.Proxies, c.Limits.ProxyHeader = c.Proxies, c.ProxyHeader.word
	c.State, c.Cell = absolute(c.State), absolute(c.Cell) // a cell may work in another folder
	if c.Cache == "" {
		c.Cache = filepath.Join(c.State, "cache")
		for _, kv := range env {
			if dir, ok := strings.CutPrefix(kv, "CACHE_DIRECTORY="); ok && dir != "" {
				c.Cache = dir
			}
		}
	}
	if len(c.Listen) == 0 {
		c.Listen = listFlag{":8080"}
	}
	return c, c.check()
}

func (c *Config) check() error {
	for _, name := range c.PassEnvironment {
		if err := envfile.ParseVariable(name); err != nil {
			return fmt.Errorf("%w: %s names %q: %w", ErrUsage, c.origin("pass-environment"), name, err)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		min   time.Duration
	}{
		{"poll", c.Poll, 10 * time.Millisecond},
		{"start-timeout", c.StartTimeout, time.Millisecond},
		{"drain-timeout", c.DrainTimeout, 0},
		{"idle-timeout", c.Limits.IdleTimeout, 0},
		{"header-timeout", c.Limits.HeaderTimeout, 0},
		{"write-timeout", c.Limits.WriteTimeout, 0},
		{"hold", c.Limits.Hold, 0},
		{"build-timeout", c.BuildTimeout, time.Second},
	} {
		if d.value < d.min {
			return fmt.Errorf("%w: %s is %v, the least is %v", ErrUsage, c.origin(d.name), d.value, d.min)
		}
	}
	if c.Limits.MaxHeaderBytes < 1<<10 || c.Limits.MaxHeaderBytes > 8<<20 {
		return fmt.Errorf("%w: %s is %d, from 1024 to %d are possible", ErrUsage, c.origin("max-header-bytes"), c.Limits.MaxHeaderBytes, 8<<20)
	}
	for _, n := range []struct {
		name             string
		value, min, most int
	}{
		{"max-connections", c.Limits.MaxConns, 0, 1 << 30},
		{"max-patterns", c.Limits.MaxPatterns, 1, 100_000},
		{"max-pattern-bytes", c.Limits.MaxPatternBytes, 16, 1 << 20},
	} {
		if n.value < n.min || n.value > n.most {
			return fmt.Errorf("%w: %s is %d, from %d to %d are possible", ErrUsage, c.origin(n.name), n.value, n.min, n.most)
		}
	}
	if c.MaxSize < 1 {
		return fmt.Errorf("%w: %s is %d, the least is 1", ErrUsage, c.origin("max-file-bytes"), c.MaxSize)
	}
	if _, err := logrus.ParseLevel(c.LogLevel); err != nil {
		return fmt.Errorf("%w: %s is %q, possible are error, warning, info, debug", ErrUsage, c.origin("log-level"), c.LogLevel)
	}
	if c.AccessLog != "" && c.AccessLog != accesslog.Journal && c.AccessLog != accesslog.Stdout && !filepath.IsAbs(c.AccessLog) {
		return fmt.Errorf("%w: %s is %q, possible are journal, stdout and an absolute path", ErrUsage, c.origin("access-log"), c.AccessLog)
	}
	if _, err := proxied.Trust(c.Proxies, ""); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUsage, c.origin("trusted-proxies"), err)
	}
	switch c.LogFormat {
	case "auto", "text", "json":
	default:
		return fmt.Errorf("%w: %s is %q, possible are auto, text, json", ErrUsage, c.origin("log-format"), c.LogFormat)
	}
	return nil
}
