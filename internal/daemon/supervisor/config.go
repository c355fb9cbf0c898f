package supervisor

import (
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/cells"
	"github.com/andrestc/go-plugserver/internal/daemon/certs"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/standing"
	"github.com/andrestc/go-plugserver/internal/file/signature"
	"github.com/sirupsen/logrus"
)

// Config is what the supervisor is given.
type Config struct {
	Handlers     string // the watched directory, as refusals name it
	Intake       *intake.Intake
	BuildsCells  bool // for status
	Fleet        fleet.Config
	Addresses    []string      // theirs, for status
	Unconfined   []string      // what sandboxes leave open on this kernel, for status
	StartTimeout time.Duration // for a handler to become ready
	CrashLimit   int           // crashes within CrashWindow after which a version is given up; 0 = never
	CrashWindow  time.Duration
	Version      string
	PID          int // the daemon's
	Log          *logrus.Logger
	// Settings are the operator's for a handler; Configure replaces them.
	Settings func(handler string) Settings
	// Named are the handlers that they name, with where; Configure replaces them.
	Named map[string]string
	// Now ends the service at once when it is closed.
	Now <-chan struct{}
	// Report is called with every change of what there is to report, by the
	// goroutine of Run: it must not block.
	Report func(Report)
	// Writes counts what was written to the file of that name in the directory
	// (watch); nil where nothing does. Any goroutine may call it.
	Writes func(file string) uint64
}

// Settings are what an operator has set for one handler.
type Settings = cells.Settings

// Report says in numbers how the service stands.
type Report = standing.Report

// Configure puts settings in force, and who they name, with where: a handler for
// which they have changed gets a new cell. So it does who is trusted: what runs already goes on.
func (s *Supervisor) Configure(settings func(handler string) Settings, named map[string]string, trust signature.Policy) {
	s.post(inTurn{func() { s.configured(settings, named, trust) }})
}

// Misconfigured says why the newest settings are not in force. Those before stay.
func (s *Supervisor) Misconfigured(problem error) { s.post(misconfigured{problem}) }

// Secure puts certificates in force for every handshake from now on.
func (s *Supervisor) Secure(f certs.Force) { s.post(secured{f}) }

func (s *Supervisor) secured(f certs.Force) {
	s.view.Secured(f, s.log)
	s.cells.Fleet.Secure(f.TLS)
}

func (s *Supervisor) configured(settings func(handler string) Settings, named map[string]string, trust signature.Policy) {
	s.view.Misconfigured, s.view.Settings, s.view.Named, s.noted = "", settings, named, false
	s.step(s.roster.WithOtherSettings(s.cells.Configure(settings)))
	s.canaries.Configured()
	if s.intake.Trust(trust) {
		s.view.Trust(trust)
		s.step(s.roster.All())
	}
	for _, h := range s.roster.Handlers {
		s.renew(h)
	}
}
