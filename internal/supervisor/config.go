package supervisor

import (
	"fmt"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/sirupsen/logrus"
)

// Config is what the supervisor is given.
type Config struct {
	Handlers     string // the watched directory, as refusals name it
	Intake       *intake.Intake
	BuildsCells  bool // for status
	Fleet        fleet.Config
	Addresses    []string      // theirs, for status
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
type Report struct {
	Live        int // those that are rolled back among them
	RolledBack  int
	Refused     int // newest files
	Crashed     int
	Quarantined int
	Trying      int // handlers whose newest file is being tried
	Ending      int // processes that end what they began
	Problem     string
}

// String is a line for systemctl status.
func (r Report) String() string {
	plural := "handlers"
	if r.Live == 1 {
		plural = "handler"
	}
	text := fmt.Sprintf("%d %s live", r.Live, plural)
	for _, more := range []struct {
		n    int
		what string
	}{{r.RolledBack, "rolled back"}, {r.Refused, "refused"}, {r.Crashed, "crashed"}, {r.Quarantined, "quarantined"}, {r.Trying, "being tried"}, {r.Ending, "ending"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if r.Problem != "" {
		text += "; " + r.Problem
	}
	return text
}

// Configure puts settings in force, and who they name, with where: a handler for
// which they have changed gets a new cell.
func (s *Supervisor) Configure(settings func(handler string) Settings, named map[string]string) {
	s.post(func() {
		s.misconfigured = ""
		s.settings, s.named, s.noted = settings, named, false
		s.cells.Configure(settings)
		for _, h := range s.handlers {
			s.renew(h)
		}
	})
}

// Misconfigured says why the newest settings are not in force. Those before stay.
func (s *Supervisor) Misconfigured(problem error) {
	s.post(func() {
		s.misconfigured = oneLine(problem)
		s.log.WithError(problem).Error("settings are refused: those before stay in force")
	})
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
