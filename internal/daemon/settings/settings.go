// Package settings reads the configuration file and its drop-ins,
// plugserverd.conf(5). Settings are whole or not there: a file that is wrong
// anywhere gives none, and an error that names every line that is. They are
// never changed once returned, so that those before stay in force.
package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/daemon/allowed"
	"github.com/andrestc/go-plugserver/internal/daemon/bounds"
	"github.com/andrestc/go-plugserver/internal/daemon/envfile"
	"github.com/andrestc/go-plugserver/internal/daemon/given"
	"github.com/andrestc/go-plugserver/internal/daemon/signers"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// DefaultPath is where the Debian package has the file.
const DefaultPath = "/etc/plugserver/plugserverd.conf"

// Infinity is a limit that was set to none: it overrides a default, while 0,
// a limit that was not set, leaves it.
const Infinity = -1

// Settings is what the files say. The zero value says nothing.
type Settings struct {
	handlers map[string]*Handler
	named    map[string]string // by handler: where it is first named
	assigned map[string][]Assignment
	goroots  []string
	tls      TLS
	redirect Redirect
	trust    signature.Policy
	distrust bool // there is a fault in [Trust]
	outside  bool // not of the daemon: what credentials the service has is not known
}

// Handler is what [Handler NAME] says; the zero value says nothing. Two of them
// that are equal say the same.
type Handler struct {
	MemoryMax   int64 // bytes; 0 is unset, Infinity no limit
	LimitNOFILE int   // descriptors; 0 is unset, Infinity no limit
	Bounds      bounds.Bounds
	Canary      canary.Terms
	Cell        string // handlers of one Cell share a process; "" is unset
	Trust       string // the group of handlers that it trusts with clients' connections; "" is unset
	// LogRateLimitBurst log records are logged within LogRateLimitInterval; 0 is
	// unset, Infinity no limit.
	LogRateLimitBurst    int
	LogRateLimitInterval time.Duration
	Environment          envfile.Environment
	MaxInFlight          int           // requests at a time; 0 is unset, Infinity no limit
	MaxBodyBytes         int64         // of a request's body; likewise
	RequestTimeout       time.Duration // likewise
	DrainTimeout         time.Duration // 0 is unset, Infinity without end
	Disabled             bool          // its file is not served
	AccessLog            Switch        // whether its requests are in the access log
	Allowed              allowed.Allowed
	Given                given.Given
	HoldTimeout          time.Duration // 0 is unset, Infinity not at all
}

// Switch is a yes or no that may be unset.
type Switch int8

const (
	Yes Switch = 1
	No  Switch = -1
)

func blank() *Settings {
	return &Settings{handlers: make(map[string]*Handler), named: make(map[string]string), assigned: make(map[string][]Assignment)}
}

// Load reads the file at path, then the files path.d/*.conf by their names:
// what is assigned later holds, and an empty value unsets. Files that are not
// there say nothing. The error joins one for each fault of each file.
func Load(path string) (*Settings, error) { return blank().load(path) }

// Check is Load for who is not the service, and does not know what credentials it has.
func Check(path string) (*Settings, error) {
	s := blank()
	s.outside = true
	return s.load(path)
}

func (s *Settings) load(path string) (*Settings, error) {
	files, err := dropIns(path)
	errs := []error{err}
	for _, file := range append([]string{path}, files...) {
		text, err := read(file)
		errs = append(errs, err)
		errs = append(errs, s.apply(file, text)...)
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, s.tls.finish(), signers.Finish(s.trust), s.lacking(), s.torn())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// lacking says which credentials are not there.
func (s *Settings) lacking() error {
	var errs []error
	for _, handler := range slices.Sorted(maps.Keys(s.handlers)) {
		name, err := s.handlers[handler].Given.Lacks()
		if err == nil {
			continue
		}
		for _, a := range s.assigned[handler] {
			if a.Key == "LoadCredential" && (a.Value == name || strings.HasPrefix(a.Value, name+":")) {
				err = fmt.Errorf("%s: %s=%.60q: %w", a.Where, a.Key, a.Value, err)
				break
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Handler is what is set for the handler of that name.
func (s *Settings) Handler(name string) Handler {
	if h := s.handlers[name]; h != nil {
		return *h
	}
	return Handler{}
}

// torn says which handlers are to share a process, and not to trust each other, or not to be in one unit; and which are to
// have folders that their users, who last as long as a process, cannot have.
func (s *Settings) torn() error {
	var errs []error
	first := make(map[string]string) // by Cell
	for _, handler := range slices.Sorted(maps.Keys(s.handlers)) {
		h := s.handlers[handler]
		if h.Allowed.Unit && len(h.Given.Belongings("/").State) > 0 {
			errs = append(errs, fmt.Errorf("[Handler %s] has Isolation=unit and StateDirectory=: the folder would be the daemon's user's, and each process has another user; take one of them away", handler))
		}
		other, is := first[h.Cell]
		switch {
		case h.Cell == "":
		case !is:
			first[h.Cell] = handler
		case s.handlers[other].Allowed.Unit != h.Allowed.Unit:
			errs = append(errs, fmt.Errorf("[Handler %s] and [Handler %s] have the same Cell=%s and another Isolation=: a process is in one unit; set the same for both, or take Cell= away", other, handler, h.Cell))
		case s.handlers[other].Trust != h.Trust:
			errs = append(errs, fmt.Errorf("[Handler %s] and [Handler %s] have the same Cell=%s and another Trust=: who shares a process has all of it; set the same for both, or take Cell= away", other, handler, h.Cell))
		}
	}
	return errors.Join(errs...)
}

// Trusts reports whether any handler is in a group of its own.
func (s *Settings) Trusts() bool {
	for _, h := range s.handlers {
		if h.Trust != "" {
			return true
		}
	}
	return false
}

// Assignment is one that holds.
type Assignment struct {
	Key, Value string
	Where      string // FILE:LINE
}

// Assigned are the assignments that hold for a handler, in the order of their lines. The
// caller owns the slice.
func (s *Settings) Assigned(handler string) []Assignment { return slices.Clone(s.assigned[handler]) }

// repeated are the keys of which every assignment holds, until an empty one.
var repeated = slices.Concat(envfile.Repeated, allowed.Repeated, given.Repeated)

// note notes an assignment.
func (s *Settings) note(handler string, a Assignment) {
	all := s.assigned[handler]
	if a.Value == "" || !slices.Contains(repeated, a.Key) {
		all = slices.DeleteFunc(all, func(o Assignment) bool { return o.Key == a.Key })
	}
	if a.Value != "" {
		all = append(all, a)
	}
	s.assigned[handler] = all
}

// Disabled says in which line of which file a handler is disabled, "" where it is not.
func (s *Settings) Disabled(handler string) (where string) {
	if !s.Handler(handler).Disabled {
		return ""
	}
	for _, a := range s.assigned[handler] {
		if a.Key == "Disabled" {
			where = a.Where
		}
	}
	return where
}

// Named are the handlers that have a section, and where the first of each is:
// FILE:LINE. It is not to be changed.
func (s *Settings) Named() map[string]string { return s.named }

// GOROOTs are the toolchains named in [Toolchains], absolute and each once, in
// their order. The caller owns the slice.
func (s *Settings) GOROOTs() []string { return slices.Clone(s.goroots) }
