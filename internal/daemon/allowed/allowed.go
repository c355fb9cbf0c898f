// Package allowed is what an operator allows a handler's process beyond what the sandbox of
// every handler does, or takes from it: the keys of plugserverd.conf(5), by systemd's names. It is pure.
package allowed

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/envfile"
	"golang.org/x/sys/unix"
)

// Allowed is comparable: two that are equal allow the same.
type Allowed struct {
	write, read, families envfile.List
	NoSandbox             bool
	PrivateNetwork        bool
	Unit                  bool // it is in a unit of the service manager's of its own
}

// Process is the Isolation= of a handler that is in no unit of its own.
const Process = "process"

// Repeated are the keys of which every assignment holds, until an empty one.
var Repeated = []string{"ReadWritePaths", "ReadOnlyPaths", "RestrictAddressFamilies"}

// Keys are the keys that set a.
func (a *Allowed) Keys(boolean func(string) (bool, error)) map[string]func(string) error {
	yes := func(to *bool) func(string) error {
		return func(value string) (err error) {
			var b bool
			if value != "" {
				b, err = boolean(value)
			}
			if err == nil {
				*to = b
			}
			return err
		}
	}
	return map[string]func(string) error{
		"ReadWritePaths":          a.write.Adding(parsePaths),
		"ReadOnlyPaths":           a.read.Adding(parsePaths),
		"RestrictAddressFamilies": a.families.Adding(parseFamilies),
		"PrivateNetwork":          yes(&a.PrivateNetwork),
		"NoSandbox":               yes(&a.NoSandbox),
		"Isolation": func(value string) error {
			if value != "unit" && value != Process && value != "" {
				return errors.New("not known; write unit, for a unit of systemd's of its own, or process")
			}
			a.Unit = value == "unit"
			return nil
		},
	}
}

// parsePaths reads absolute paths, where quotes keep space together; what need not be there has a '-' before.
func parsePaths(value string) ([]string, error) {
	paths, err := envfile.Split(value)
	if err != nil {
		return nil, err
	}
	for i, p := range paths {
		path, optional := strings.CutPrefix(p, "-")
		switch {
		case !filepath.IsAbs(path) || strings.Contains(path, "\x00"):
			return nil, fmt.Errorf("%.60q is not an absolute path; write one such as /srv/users, or -/srv/users where it need not be there", p)
		case optional:
			paths[i] = "-" + filepath.Clean(path)
		default:
			paths[i] = filepath.Clean(path)
		}
	}
	return paths, nil
}

// known are the families of sockets by the names of systemd.exec(5); "none" is of no socket.
var known = map[string]int{
	"AF_UNIX": unix.AF_UNIX, "AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_NETLINK": unix.AF_NETLINK,
	"AF_PACKET": unix.AF_PACKET, "AF_VSOCK": unix.AF_VSOCK, "none": none,
}

const none = -1

func parseFamilies(value string) ([]string, error) {
	if strings.HasPrefix(value, "~") {
		return nil, errors.New("what is not allowed cannot be listed; list what is, without '~'")
	}
	names := strings.Fields(value)
	for _, name := range names {
		if known[name] == 0 {
			return nil, fmt.Errorf("%.40q is not known; possible are none, and of AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET and AF_VSOCK each that is needed", name)
		}
	}
	return names, nil
}

// Writes are the paths that it may write.
func (a Allowed) Writes() []string { return a.write.All() }

// Apply has rules allow what a does.
func (a Allowed) Apply(r *sandbox.Rules) {
	r.Write, r.Read = slices.Concat(r.Write, a.write.All()), slices.Concat(r.Read, a.read.All())
	r.Open = a.NoSandbox
	if a.PrivateNetwork {
		r.Families = []int{unix.AF_UNIX} // without namespaces: no way out, and no loopback either
	}
	if a.families == "" {
		return
	}
	families := []int{}
	for _, name := range a.families.All() {
		if f := known[name]; f != none && (!a.PrivateNetwork || f == unix.AF_UNIX) {
			families = append(families, f)
		}
	}
	r.Families = families
}
