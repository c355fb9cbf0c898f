package config

import (
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/allowed"
	"github.com/andrestc/go-plugserver/internal/daemon/given"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

// Show is what is set for a handler, and where: what file says, and for the rest what the
// flags say that stand in its place.
func (c *Config) Show(file *settings.Settings, handler string) (all []api.Setting) {
	handler = canary.Incumbent(handler)
	set, idle := make(map[string]bool), make(map[string]string)
	_, _, unheeded := c.bounds(file.Handler(handler))
	for _, u := range unheeded {
		idle[u.Key] = u.Why
	}
	for _, a := range file.Assigned(handler) {
		set[a.Key] = true
		all = append(all, api.Setting{Key: a.Key, Value: given.Shown(a.Key, a.Value), Where: a.Where, NotInForce: idle[a.Key]})
	}
	for _, f := range []struct{ key, flag, value string }{
		{"MemoryMax", "memory-max", c.MemoryMax.String()},
		{"LimitNOFILE", "limit-nofile", c.LimitNOFILE.String()},
		{"MaxBodyBytes", "max-body", c.MaxBody.String()},
		{"DrainTimeout", "drain-timeout", c.DrainTimeout.String()},
		{"HoldTimeout", "hold", c.Limits.Hold.String()},
	} {
		if !set[f.key] {
			all = append(all, api.Setting{Key: f.key, Value: f.value, Where: c.flagged(f.flag)})
		}
	}
	if !set["Trust"] && c.Trust.word == "each" {
		all = append(all, api.Setting{Key: "Trust", Value: handler, Where: c.flagged("trust")})
	}
	if !set["AccessLog"] {
		all = append(all, api.Setting{Key: "AccessLog", Value: yesNo(c.AccessLog != ""), Where: c.flagged("access-log")})
	}
	if where := "default"; !set["NoSandbox"] {
		if lacks := c.Unconfined(sandbox.Kernel()); len(lacks) > 0 {
			where += "; this kernel does not confine " + strings.Join(lacks, "; ")
		}
		if !c.Sandbox.On() {
			where = c.flagged("sandbox")
		}
		all = append(all, api.Setting{Key: "NoSandbox", Value: yesNo(!c.Sandbox.On()), Where: where})
	}
	if !set["Isolation"] {
		all = append(all, api.Setting{Key: "Isolation", Value: allowed.Process, Where: "default"})
	}
	if len(c.PassEnvironment) > 0 {
		all = append(all, api.Setting{Key: "PassEnvironment", Value: strings.Join(c.PassEnvironment, " "), Where: c.flagged("pass-environment")})
	}
	return all
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// flagged says where a flag's value is from.
func (c *Config) flagged(flag string) string {
	if where, ok := c.origins[flag]; ok {
		return strings.TrimSuffix(where, ",")
	}
	if c.given[flag] {
		return "--" + flag
	}
	return "default"
}
