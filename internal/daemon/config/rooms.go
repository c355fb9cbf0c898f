package config

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/between/access"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/build/gobuild"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/sd"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/andrestc/go-plugserver/internal/daemon/supervisor"
	"github.com/andrestc/go-plugserver/internal/daemon/terms"
	"github.com/sirupsen/logrus"
)

// Builder is what builds with the toolchains that file names.
func (c *Config) Builder(file *settings.Settings) (*gobuild.Builder, error) {
	return gobuild.New(gobuild.Config{
		GOROOTs: file.GOROOTs(), Cache: c.Cache, Network: c.Network.On(), Timeout: c.BuildTimeout,
		Root: true, // for cells, whose source is the daemon's own; other source is never compiled as root
	})
}

// Access opens the access log, nil where there is none.
func (c *Config) Access(log *logrus.Logger) (*accesslog.Log, error) {
	if c.AccessLog == "" {
		return nil, nil
	}
	return accesslog.Open(accesslog.Config{To: c.AccessLog, Format: access.Format(c.AccessLogFormat.word), Journal: sd.AccessStream, Log: log})
}

// Settings are what holds for each handler: what file says, and where it says
// nothing the flags. All are made here, once: those that file does not name have the same.
func (c *Config) Settings(file *settings.Settings) func(handler string) supervisor.Settings {
	of := c.terms(file)
	usual, own := of(settings.Handler{}), make(map[string]supervisor.Settings)
	for name := range file.Named() {
		own[name] = of(file.Handler(name))
	}
	return func(name string) supervisor.Settings {
		s, ok := own[canary.Incumbent(name)]
		if !ok {
			s = usual
		}
		if canary.Of(name) != "" {
			s.Group = "" // it is judged alone
		}
		return s
	}
}

// terms is what the flags and file come to for a handler of which file says h.
func (c *Config) terms(file *settings.Settings) func(h settings.Handler) supervisor.Settings {
	own, base, keep := proc.Environ(), c.sandbox(file), c.Keep()
	return func(h settings.Handler) supervisor.Settings {
		limits := fleet.Limits{Memory: int64(c.MemoryMax), Descriptors: int(c.LimitNOFILE)}
		if h.MemoryMax != 0 {
			limits.Memory = max(h.MemoryMax, 0) // settings.Infinity is none
		}
		if h.LimitNOFILE != 0 {
			limits.Descriptors = max(h.LimitNOFILE, 0)
		}
		var unheeded []terms.Unheeded
		limits.CPU, limits.Tasks, unheeded = c.bounds(h)
		body := int64(c.MaxBody)
		if h.MaxBodyBytes != 0 {
			body = max(h.MaxBodyBytes, 0)
		}
		rules := base
		h.Allowed.Apply(&rules)
		if rules.Open = rules.Open || !c.Sandbox.On(); rules.Open {
			rules.System = ""
		}
		has := h.Given.Belongings(c.StateDirectories())
		has.Keep = keep
		drain := h.DrainTimeout
		if drain == settings.Infinity {
			drain = endless
		}
		var apart proc.Apart
		if h.Allowed.Unit {
			apart = c.Apart()
		}
		return supervisor.Settings{
			Apart:  apart,
			Limits: limits, Log: fleet.LogRate{Burst: h.LogRateLimitBurst, Interval: h.LogRateLimitInterval}, Group: h.Cell,
			Env: proc.Handlers(own, append(h.Environment.Pass(), c.PassEnvironment...), h.Environment.Set()),
			// settings.Infinity is none
			Bounds:       link.Bounds{MaxInFlight: max(h.MaxInFlight, 0), MaxBodyBytes: body, RequestTimeout: max(h.RequestTimeout, 0), Unlogged: h.AccessLog == settings.No},
			DrainTimeout: drain, Hold: h.HoldTimeout, Sandbox: &rules, Belongings: has, Unheeded: unheeded, Canary: h.Canary,
		}
	}
}

// bounds are what only control groups bound; what they do not is unheeded. Where a unit of its own has the handler, it is
// tried there, and what is said is of ours: both are the same kernel's.
func (c *Config) bounds(h settings.Handler) (cpu, tasks int, unheeded []terms.Unheeded) {
	cpu, tasks = h.Bounds.CPUQuota, h.Bounds.TasksMax.Of(c.Groups.Tasks())
	for _, b := range []struct {
		key, controller string
		value           *int
	}{{"CPUQuota", cgroup.CPU, &cpu}, {"TasksMax", cgroup.Tasks, &tasks}} {
		if why := c.Groups.Lacks(b.controller); why != "" && *b.value != 0 {
			unheeded = append(unheeded, terms.Unheeded{Key: b.key, Why: why})
			if !h.Allowed.Unit {
				*b.value = 0
			}
		}
	}
	return cpu, tasks, unheeded
}

// endless is longer than any request.
const endless = 100 * 365 * 24 * time.Hour
