package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/apart"
	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/belongings"
	"github.com/andrestc/go-plugserver/internal/between/cgroup"
	"github.com/andrestc/go-plugserver/internal/between/control"
	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/orphans"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/build/cellsource"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/certs"
	"github.com/andrestc/go-plugserver/internal/daemon/config"
	"github.com/andrestc/go-plugserver/internal/daemon/disabled"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/fleet"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/metrics"
	"github.com/andrestc/go-plugserver/internal/daemon/origins"
	"github.com/andrestc/go-plugserver/internal/daemon/renewal"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/andrestc/go-plugserver/internal/daemon/supervisor"
	"github.com/andrestc/go-plugserver/internal/daemon/watch"
	"github.com/andrestc/go-plugserver/internal/file/handlerdir"
	"github.com/andrestc/go-plugserver/internal/file/sourcedir"
	"github.com/sirupsen/logrus"
)

// daemon is all that runs in the supervisor's process.
type daemon struct {
	cfg        *config.Config
	log        *logrus.Logger
	tell       *teller
	watcher    *watch.Watcher
	intake     *intake.Intake
	supervisor *supervisor.Supervisor
	sums       *sums.Book
	events     *events.Book
	disabled   *disabled.Set
	metrics    *metrics.Metrics
	admin      []net.Listener
	certs      *certs.Watch
	access     *accesslog.Log // nil where there is none
	renewal    *renewal.Renewal
	origins    *origins.Book
	file       *settings.Settings // that holds at the start
	system     string             // likewise: config.System
	listener   net.Listener
	addresses  []string
}

// newDaemon makes ready whatever may fail, and begins nothing. now ends the service at
// once when it is closed.
func newDaemon(cfg *config.Config, log *logrus.Logger, tell *teller, now <-chan struct{}) (*daemon, error) {
	cfg.Groups = groups(log)
	d := &daemon{cfg: cfg, log: log, tell: tell, sums: sums.New(), metrics: metrics.New(version), origins: origins.New(cfg.Syncs())}
	d.events = events.New(d.metrics.Live)
	log.AddHook(d.events)
	tell.begin(cfg.Handlers)
	files, addresses, watching, err := listeners(cfg)
	if err == nil {
		d.admin, err = adminListeners(cfg.AdminListen, watching)
	}
	if err != nil {
		return nil, err
	}
	d.addresses = addresses
	if d.access, err = cfg.Access(log); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d.watcher = watch.New(cfg.Handlers, cfg.Poll, func(err error) {
		log.WithError(err).WithField(event.Field, event.InotifyLost).Warnf("inotify is lost: the directory is looked at every %v", cfg.Poll)
	})
	d.watcher.Skip = sourcedir.Ignored // what is watched and what is compiled are one set
	file, misread := settings.Load(cfg.Config)
	if misread != nil {
		file = settings.Suspect(cfg.Config) // the flags alone hold, but for who is trusted: better than no service
	}
	cfg.Lend(file, misread)
	d.file, d.system = file, cfg.System(file)
	if d.disabled, err = disabled.Open(filepath.Join(cfg.Store(), "disabled"), file.Disabled); err != nil {
		return nil, err
	}
	if d.intake, err = d.newIntake(file); err != nil {
		return nil, err
	}
	d.supervisor = supervisor.New(supervisor.Config{
		Handlers: d.intake.Dir(), Intake: d.intake, BuildsCells: cfg.BuildCells.On(),
		Fleet: fleet.Config{
			Gate: []string{self, "gate"}, Listeners: files, Secure: certs.Places(addresses), Proxied: certs.ProxiedPlaces(addresses), Limits: cfg.Limits, DrainTimeout: cfg.DrainTimeout, Log: log, Groups: cfg.Groups, Sums: d.sums, Access: d.access,
		},
		Addresses: addresses, Unconfined: cfg.Unconfined(sandbox.Kernel()), StartTimeout: cfg.StartTimeout,
		CrashLimit: cfg.CrashLimit.N, CrashWindow: cfg.CrashLimit.Window,
		Settings: cfg.Settings(file), Named: file.Named(),
		Version: version, PID: os.Getpid(), Log: log, Report: tell.report, Now: now, Writes: d.watcher.Writes,
	}, d.watcher.C())
	d.metrics.Collect(metrics.Config{Sums: d.sums, Access: d.access, Events: d.events, Status: d.supervisor.Status, Syncs: d.origins.Syncs})
	if misread != nil {
		d.supervisor.Misconfigured(misread)
	}
	d.secure(filepath.Join(filepath.Dir(self), "plugserver-acme"))
	if d.listener, err = listenControl(cfg, log); err != nil {
		return nil, err
	}
	// Now that no other daemon answers.
	belongings.Vacate(cfg.Keep())
	return d, errors.Join(proc.Vacate(cfg.Private()), proc.Vacate(cfg.Shelf()), apart.Vacate(cfg.Apart().Lent))
}

// groups is where handlers get control groups. Where they get none, we see to what they leave behind.
func groups(log *logrus.Logger) *cgroup.Tree {
	orphans.Reap()
	tree := cgroup.Own() // before there are others in ours
	if tree.Gives() {
		return tree
	}
	if err := orphans.Begin(); err != nil {
		log.WithError(err).Debug("what handlers have put into a session of its own may outlive them")
	}
	return tree
}

// listenControl listens on the control socket. Who may is no reason not to serve.
func listenControl(cfg *config.Config, log *logrus.Logger) (net.Listener, error) {
	gid := -1
	if cfg.AdminGroup != "" {
		var err error
		if gid, err = control.Group(cfg.AdminGroup); err != nil {
			log.WithError(err).Warn("root alone may use the control socket")
		}
	}
	return control.Listen(cfg.Control, gid)
}

// secure makes ready what has to do with certificates.
func (d *daemon) secure(certifier string) {
	d.certs = &certs.Watch{
		Keeper: certs.New(os.Getenv("CREDENTIALS_DIRECTORY"), d.cfg.ACME()), Addresses: d.addresses,
		Put: d.supervisor.Secure, Log: d.log, ConfFile: d.cfg.Config,
	}
	d.certs.Load(d.file.TLS(), d.file.Redirect())
	d.renewal = renewal.New(renewal.Config{Certifier: certifier, Dir: d.cfg.ACME(), Certs: d.certs, Alive: d.supervisor.Alive, Log: d.log})
	d.renewal.Configure(d.file.TLS().ACME)
}

// writers are what inotify tells, for those who look.
var writers = map[watch.State]handlerdir.Writer{
	watch.Unknown: handlerdir.WriterUnknown, watch.Open: handlerdir.WriterOpen,
	watch.Closed: handlerdir.WriterClosed, watch.Moved: handlerdir.WriterMoved,
}

func (d *daemon) newIntake(file *settings.Settings) (*intake.Intake, error) {
	cfg, log := d.cfg, d.log
	binaries := catalogue.New(catalogue.Config{
		Packaged: cfg.Cell, Shared: catalogue.SharedPath, Own: cfg.Cells(), UID: uint32(os.Getuid()), Source: cellsource.Digest(),
	})
	if err := binaries.Adopt(); err != nil {
		log.WithError(err).Warn("the cell is not kept: an upgrade may leave plugins without one")
	}
	builder, err := cfg.Builder(file)
	if err != nil {
		return nil, err
	}
	return intake.New(intake.Config{
		Handlers: cfg.Handlers, Store: cfg.Store(), Cells: binaries, MaxSize: cfg.MaxSize,
		Builder: builder, Scratch: cfg.Cache, BuildCells: cfg.BuildCells.On(), BuildSource: cfg.Build.On(), Trust: file.Trust(), Doubt: cfg.Unconfines(file, sandbox.Kernel()),
		Log: log, Writing: func(file string) handlerdir.Writer { return writers[d.watcher.Writing(file)] },
		Changed: d.watcher.Changed, Built: d.metrics.Built, Disabled: func(handler string) bool { return d.disabled.Has(handler) },
	})
}

// run serves until ctx is done and all is drained. Each value of hup is a nudge.
func (d *daemon) run(ctx context.Context, hup <-chan struct{}) error {
	// What runs beside the supervisor ends after it: the control socket
	// answers while requests drain.
	beside, stop := context.WithCancel(context.Background())
	back := &backend{supervisor: d.supervisor, intake: d.intake, tell: d.tell, cfg: d.cfg, metrics: d.metrics, events: d.events, sums: d.sums, disabled: d.disabled, certs: d.certs, renewal: d.renewal, access: d.access, origins: d.origins, log: d.log}
	back.file.Store(d.file)
	var all sync.WaitGroup
	var served error
	all.Go(func() { d.watcher.Run(beside) })
	all.Go(func() { d.certs.Run(beside) })
	all.Go(func() { d.renewal.Run(beside) })
	all.Go(func() {
		served = control.Serve(beside, d.listener, back, api.Version{Version: version, Go: runtime.Version()}, control.Operators{Group: d.cfg.AdminGroup, Ancestor: os.Getpid()})
	})
	d.watchers(beside, &all, ctx.Done())
	all.Go(func() { d.tell.watchdog(beside, d.supervisor) })
	all.Go(func() { d.tellReady(beside) })
	all.Go(func() { d.reloadAt(beside, hup, back) })
	all.Go(func() { d.followSystem(beside, back) })
	serving, end := context.WithCancel(context.Background())
	all.Go(func() {
		defer end()
		select {
		case <-ctx.Done():
			d.tell.stopping() // systemd learns of the stop before anything of it begins
		case <-beside.Done():
		}
	})
	err := d.supervisor.Run(serving)
	stop()
	all.Wait()
	d.access.Close(time.Second)
	os.Remove(d.cfg.Keep()) // which the end of the last child has left empty
	return errors.Join(err, served)
}

// tellReady tells once that the service is ready, unless ctx is done before.
func (d *daemon) tellReady(ctx context.Context) {
	select {
	case <-d.supervisor.Ready():
		d.log.WithField("listen", d.addresses).Info("ready")
		d.tell.ready()
		debug.FreeOSMemory() // a thousand starts leave more garbage than is ever live again
	case <-ctx.Done():
	}
}

// followSystem has handlers started anew, until ctx is done, when files of the system were replaced
// that their sandboxes let them read by what they were.
func (d *daemon) followSystem(ctx context.Context, back *backend) {
	poll := time.NewTicker(d.cfg.Poll)
	defer poll.Stop()
	for last := d.system; ; {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return
		}
		now := d.cfg.System(back.file.Load())
		if now != last && now != "" && last != "" { // else it is of other settings, which came by a reload
			back.again()
		}
		last = now
	}
}

// reloadAt reloads at each value of hup until ctx is done.
func (d *daemon) reloadAt(ctx context.Context, hup <-chan struct{}, back *backend) {
	for {
		select {
		case <-hup:
			d.log.Info("SIGHUP: looking at the directory again")
			back.Reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}
