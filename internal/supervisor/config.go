package supervisor

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/cells"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/proc"
	"github.com/andrestc/go-plugserver/internal/toolchain"
	"github.com/sirupsen/logrus"
)

// Config is what the supervisor is given.
type Config struct {
	Handlers     string // the watched directory
	Store        string // the store's directory
	Cells        *cells.Catalogue
	Builder      *toolchain.Builder // Configure replaces it
	BuildCells   bool               // for plugins that no cell loads
	BuildSource  bool
	Scratch      string        // a directory for what is being built
	Gate         []string      // the gate's command line
	Listeners    []*os.File    // listening sockets; the caller keeps them open
	Addresses    []string      // theirs, for status
	Limits       link.Limits   // for every client
	StartTimeout time.Duration // for a handler to become ready
	DrainTimeout time.Duration // for requests to end when their cell does
	MaxSize      int64         // of a handler's file, in bytes
	CrashLimit   int           // crashes within CrashWindow after which a version is given up; 0 = never
	CrashWindow  time.Duration
	Version      string
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
	// Writing says whether somebody has the file of that name in the directory
	// open for writing, where that is known (watch); nil where nothing does. Any
	// goroutine may call it.
	Writing func(file string) (open, known bool)
}

// Settings are what an operator has set for one handler.
type Settings struct {
	Limits proc.Limits
	Log    LogRate
	Group  string // handlers of one group share a cell; "" for none
}

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

// Configure puts settings in force, and the builder: a handler for which they
// have changed gets a new cell. Where problem is not nil, those before stay.
func (s *Supervisor) Configure(settings func(handler string) Settings, named map[string]string, builder *toolchain.Builder, problem error) {
	s.post(func() {
		s.misconfigured = ""
		if problem != nil {
			s.misconfigured = oneLine(problem)
			s.log.WithError(problem).Error("settings are refused: those before stay in force")
			return
		}
		s.settings, s.named, s.regroup, s.noted = settings, named, true, false
		s.builder.Store(builder)
		for _, c := range s.cells {
			for _, st := range c.seats {
				st.settings.Log = settings(st.name).Log // which takes no new cell
			}
			c.logs.bound(c.logRate())
		}
		for _, h := range s.handlers {
			s.renew(h)
		}
	})
}

// renew gives a handler a new cell where its settings are not those that its
// cell was started with.
func (s *Supervisor) renew(h *handler) {
	if h.live == nil || h.live.dead() || h.next != nil || !h.leaving.IsZero() {
		return
	}
	want := s.settings(h.name)
	moved := h.live.group != nil && h.live.group.name != want.Group
	if moved || h.live.settings.Limits != want.Limits {
		s.startAgain(h)
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
