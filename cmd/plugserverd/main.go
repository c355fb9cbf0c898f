// Plugserverd serves HTTP from handlers dropped into a directory as compiled
// Go plugins. See plugserverd(8) and the README.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	plugserver "github.com/andrestc/go-plugserver"
	"github.com/andrestc/go-plugserver/internal/api"
	"github.com/andrestc/go-plugserver/internal/catalogue"
	"github.com/andrestc/go-plugserver/internal/control"
	"github.com/andrestc/go-plugserver/internal/event"
	"github.com/andrestc/go-plugserver/internal/fleet"
	"github.com/andrestc/go-plugserver/internal/gate"
	"github.com/andrestc/go-plugserver/internal/handlerdir"
	"github.com/andrestc/go-plugserver/internal/intake"
	"github.com/andrestc/go-plugserver/internal/link"
	"github.com/andrestc/go-plugserver/internal/sd"
	"github.com/andrestc/go-plugserver/internal/settings"
	"github.com/andrestc/go-plugserver/internal/supervisor"
	"github.com/andrestc/go-plugserver/internal/watch"
)

// sharedCells is where packages put further cells.
const sharedCells = "/usr/lib/plugserver/cells"

// version is set by the build (-ldflags -X main.version=…).
var version = "dev"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "gate" {
		exit(runGate())
	}
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	hup := make(chan struct{}, 1)
	now := make(chan struct{})
	go func() {
		for s := range signals {
			switch {
			case s == syscall.SIGHUP:
				select {
				case hup <- struct{}{}:
				default:
				}
			case ctx.Err() != nil:
				close(now)
				time.Sleep(time.Second) // the supervisor needs milliseconds
				os.Exit(1)
			default:
				stop()
			}
		}
	}()
	notify := sd.NewNotifier()
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, hup, now, notify)
	if begun, ok := errors.AsType[*startError](err); ok {
		notStarted(ctx, begun, notify)
	}
	exit(err)
}

func exit(err error) {
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "plugserverd:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "plugserverd:", err)
		os.Exit(1)
	}
}

// runGate is the gate's role; the supervisor starts it.
func runGate() error {
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		return fmt.Errorf("%w; the gate is started by plugserverd", err)
	}
	gate.Run(lc)
	return nil
}

// run is the supervisor's role. It returns once ctx is done and all is
// drained, or now is closed and all is killed. Each value of hup is a nudge.
// What keeps it from beginning is a *startError.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer, hup, now <-chan struct{}, notify *sd.Notifier) (err error) {
	begun := false
	defer func() {
		if err != nil && !begun && !errors.Is(err, flag.ErrHelp) {
			err = &startError{err}
		}
	}()
	cfg, err := parse(args, env, stdout)
	if err != nil {
		return err
	}
	if cfg.version {
		fmt.Fprintf(stdout, "plugserverd %s (%s)\n", version, runtime.Version())
		return nil
	}
	log, flush := newLogger(cfg, stderr)
	defer flush()
	for _, note := range cfg.notes {
		log.Warn(note)
	}
	tell := newTeller(log, notify)
	tell.begin(cfg.handlers)
	files, addresses, err := sockets(cfg)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	watcher := watch.New(cfg.handlers, cfg.poll, func(err error) {
		log.WithError(err).WithField(event.Field, event.InotifyLost).Warnf("inotify is lost: the directory is looked at every %v", cfg.poll)
	})
	watcher.Skip = handlerdir.Ignored // what is watched and what is compiled are one set
	binaries := catalogue.New(catalogue.Config{
		Packaged: cfg.cell, Shared: sharedCells, Own: cfg.cells(), UID: uint32(os.Getuid()), Source: plugserver.CellDigest(),
	})
	if err := binaries.Adopt(); err != nil {
		log.WithError(err).Warn("the cell is not kept: an upgrade may leave plugins without one")
	}
	file, misread := settings.Load(cfg.config)
	if misread != nil {
		file = &settings.Settings{} // the flags alone hold: better than no service
	}
	builder, err := cfg.builder(file)
	if err != nil {
		return err
	}
	in, err := intake.New(intake.Config{
		Handlers: cfg.handlers, Store: cfg.store(), Cells: binaries, MaxSize: cfg.maxSize,
		Builder: builder, Scratch: cfg.cache, BuildCells: cfg.buildCells.word == "auto", BuildSource: cfg.build.word == "auto",
		Log: log, Writing: watcher.Writing,
	})
	if err != nil {
		return err
	}
	s := supervisor.New(supervisor.Config{
		Handlers: in.Dir(), Intake: in, BuildsCells: cfg.buildCells.word == "auto",
		Fleet: fleet.Config{
			Gate: []string{self, "gate"}, Listeners: files, Limits: cfg.limits, DrainTimeout: cfg.drainTimeout, Log: log,
		},
		Addresses: addresses, StartTimeout: cfg.startTimeout,
		CrashLimit: cfg.crashLimit.n, CrashWindow: cfg.crashLimit.window,
		Settings: cfg.settings(file), Named: file.Named(),
		Version: version, PID: os.Getpid(), Log: log, Report: tell.report, Now: now, Writes: watcher.Writes,
	}, watcher.C())
	if misread != nil {
		s.Misconfigured(misread)
	}
	back := &backend{Supervisor: s, intake: in, tell: tell, cfg: cfg}
	cl, err := control.Listen(cfg.control, -1)
	if err != nil {
		return err
	}

	// What runs beside the supervisor ends after it: the control socket
	// answers while requests drain.
	beside, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var served error
	all.Go(func() { watcher.Run(beside) })
	all.Go(func() {
		served = control.Serve(beside, cl, back, api.Version{Version: version, Go: runtime.Version()}, os.Getgid())
	})
	all.Go(func() { tell.watchdog(beside, s) })
	all.Go(func() {
		select {
		case <-s.Ready():
			log.WithField("listen", addresses).Info("ready")
			tell.ready()
		case <-beside.Done():
		}
	})
	all.Go(func() {
		for {
			select {
			case <-hup:
				log.Info("SIGHUP: looking at the directory again")
				back.Reload(beside)
			case <-beside.Done():
				return
			}
		}
	})
	// systemd learns of the stop before anything of it begins.
	serving, end := context.WithCancel(context.Background())
	all.Go(func() {
		select {
		case <-ctx.Done():
			tell.stopping()
			end()
		case <-beside.Done():
			end()
		}
	})
	begun = true
	forgetFailures()
	err = s.Run(serving)
	stop()
	all.Wait()
	return errors.Join(err, served)
}

// sockets returns the listening sockets: systemd's where it passes some, else
// those of --listen.
func sockets(cfg *config) (files []*os.File, addresses []string, err error) {
	files, addresses, err = sd.Listeners()
	if err != nil || len(files) > 0 {
		return files, addresses, err
	}
	return listen(cfg.listen)
}
