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
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/config"
	"github.com/andrestc/go-plugserver/internal/daemon/logger"
	"github.com/andrestc/go-plugserver/internal/daemon/sd"
	"github.com/andrestc/go-plugserver/internal/daemon/sockets"
	"github.com/andrestc/go-plugserver/internal/serve/gate"
	"github.com/andrestc/go-plugserver/internal/serve/slim"
)

// version is set by the build (-ldflags -X main.version=…).
var version = "dev"

func main() {
	go slim.Rest()
	if len(os.Args) == 2 && os.Args[1] == "gate" {
		outlive()
		exit(runGate())
	}
	if len(os.Args) == 4 && os.Args[1] == "keep" {
		outlive()
		exit(runKeeper(os.Args[2], os.Args[3]))
	}
	// On its first use the time zone is read from a file that is opened without
	// O_CLOEXEC: a child that is started at that moment would keep it.
	_, _ = time.Now().Zone()
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, asked...)
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
	case errors.Is(err, config.ErrUsage):
		fmt.Fprintln(os.Stderr, "plugserverd:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "plugserverd:", err)
		os.Exit(1)
	}
}

// outlive drops what operators ask of the supervisor: who signals by the program's name, as pkill(1) does, hits its
// children, too. They end when it ends them, or is gone. A program that they start finds the signals as ever.
func outlive() { signal.Notify(make(chan os.Signal, 1), asked...) }

var asked = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

// runGate is the gate's role; the supervisor starts it.
func runGate() error {
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		return fmt.Errorf("%w; the gate is started by plugserverd", err)
	}
	if gate.Run(lc) != nil {
		os.Exit(1) // the supervisor was told why
	}
	return nil
}

// run is the supervisor's role. It returns once ctx is done and all is
// drained, or now is closed and all is killed. Each value of hup is a nudge.
// What keeps it from beginning is a *startError.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer, hup, now <-chan struct{}, notify *sd.Notifier) error {
	cfg, err := config.Parse(args, env, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return &startError{err}
	case cfg.Version:
		fmt.Fprintf(stdout, "plugserverd %s (%s)\n", version, runtime.Version())
		return nil
	}
	out := stderr
	if cfg.LogOutput.String() == "stdout" {
		out = stdout
	}
	log, flush := logger.New(cfg.LogFormat, cfg.LogLevel, out)
	defer flush()
	for _, note := range cfg.Notes {
		log.Warn(note)
	}
	d, err := newDaemon(cfg, log, newTeller(log, notify), now)
	if err != nil {
		return &startError{err}
	}
	forgetFailures()
	return d.run(ctx, hup)
}

// listeners are the listening sockets: systemd's where it passes some, else
// those of --listen; and those of systemd's that are for who watches over the service.
func listeners(cfg *config.Config) (files []*os.File, addresses []string, watching []*os.File, err error) {
	files, addresses, err = sd.Listeners()
	files, addresses, watching = split(files, addresses)
	if err != nil || len(files) > 0 {
		return files, addresses, watching, err
	}
	files, addresses, err = sockets.Listen(cfg.Listen)
	return files, addresses, watching, err
}
