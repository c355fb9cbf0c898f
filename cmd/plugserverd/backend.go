package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/sandbox"
	"github.com/andrestc/go-plugserver/internal/daemon/accesslog"
	"github.com/andrestc/go-plugserver/internal/daemon/certs"
	"github.com/andrestc/go-plugserver/internal/daemon/config"
	"github.com/andrestc/go-plugserver/internal/daemon/disabled"
	"github.com/andrestc/go-plugserver/internal/daemon/events"
	"github.com/andrestc/go-plugserver/internal/daemon/intake"
	"github.com/andrestc/go-plugserver/internal/daemon/metrics"
	"github.com/andrestc/go-plugserver/internal/daemon/origins"
	"github.com/andrestc/go-plugserver/internal/daemon/renewal"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
	"github.com/andrestc/go-plugserver/internal/daemon/supervisor"
	"github.com/sirupsen/logrus"
)

// backend is the supervisor as the control socket sees it (control.Backend): systemd is
// told of what takes a while, and a reload reads the settings again.
type backend struct {
	supervisor *supervisor.Supervisor
	intake     *intake.Intake
	tell       *teller
	cfg        *config.Config
	metrics    *metrics.Metrics
	events     *events.Book
	sums       *sums.Book
	disabled   *disabled.Set
	certs      *certs.Watch
	access     *accesslog.Log
	origins    *origins.Book
	log        *logrus.Logger
	renewal    *renewal.Renewal
	file       atomic.Pointer[settings.Settings] // that holds
}

func (b *backend) Status(ctx context.Context) (api.Status, error) {
	st, err := b.supervisor.Status(ctx)
	counted := b.sums.Handlers()
	for i, h := range st.Handlers {
		if s := counted[h.Name]; s != nil {
			st.Handlers[i].Errors = int64(s.Errors())
		}
	}
	b.origins.Tell(&st)
	return st, err
}

func (b *backend) Settle(ctx context.Context, name string) (api.Outcome, error) {
	return b.supervisor.Settle(ctx, name)
}

func (b *backend) History(ctx context.Context, name string) (api.History, error) {
	return b.supervisor.History(ctx, name)
}

func (b *backend) Rollback(ctx context.Context, name, version string) (api.Outcome, error) {
	return b.supervisor.Rollback(ctx, name, version)
}

func (b *backend) Release(ctx context.Context, name string) (re api.Reload, err error) {
	b.tell.reload(func() { re, err = b.supervisor.Release(ctx, name) })
	return re, err
}

func (b *backend) Reload(ctx context.Context) (re api.Reload, err error) {
	b.tell.reload(func() {
		if err := b.access.Reopen(); err != nil {
			b.log.WithError(err).Warn("the access log goes on in the file that was open")
		}
		if problem := b.configure(); problem != nil {
			b.supervisor.Misconfigured(problem)
		}
		re, err = b.supervisor.Reload(ctx)
	})
	return re, err
}

func (b *backend) Canary(ctx context.Context, name, do, terms string) (api.Outcome, error) {
	return b.supervisor.Canary(ctx, name, do, terms)
}

func (b *backend) Restart(ctx context.Context, name string) (api.Outcome, error) {
	return b.supervisor.Restart(ctx, name)
}

func (b *backend) Enable(ctx context.Context, name string) (api.Outcome, error) {
	return b.able(ctx, name, false)
}

func (b *backend) Disable(ctx context.Context, name string) (api.Outcome, error) {
	return b.able(ctx, name, true)
}

func (b *backend) able(ctx context.Context, name string, disable bool) (api.Outcome, error) {
	if err := b.disabled.Put(name, disable); err != nil {
		return api.Outcome{}, err
	}
	return b.supervisor.Settle(ctx, name)
}

func (b *backend) Show(ctx context.Context, name string) (api.Shown, error) {
	shown := api.Shown{Name: name, Settings: b.cfg.Show(b.file.Load(), name)}
	past, _ := b.supervisor.History(ctx, name) // there need be none
	for _, v := range past.Versions {
		if v.Current {
			shown.Version, shown.Signed = v.Version, v.Signed
		}
	}
	shown.Origin = b.origins.Of(name)
	return shown, nil
}

func (b *backend) Metrics(context.Context) (api.Metrics, error) {
	text, err := b.metrics.Text()
	return api.Metrics{Text: text}, err
}

// eventsWait is how long who waits for an event does before it asks again.
const eventsWait = 20 * time.Second

func (b *backend) Events(ctx context.Context, since uint64, wait bool) (api.Events, error) {
	ctx, cancel := context.WithTimeout(ctx, eventsWait)
	defer cancel()
	for {
		all, more := b.events.Since(since)
		if len(all) > 0 || !wait {
			return api.Events{Events: all}, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return api.Events{}, nil
		}
	}
}

// configure puts the settings in force that the file holds now. The error says
// why it does not; then those before stay.
func (b *backend) configure() error {
	file, err := settings.Load(b.cfg.Config)
	if err != nil {
		return err
	}
	if err := b.cfg.Lending(file); err != nil {
		return err
	}
	builder, err := b.cfg.Builder(file)
	if err != nil {
		return err
	}
	b.file.Store(file)
	b.disabled.Configure(file.Disabled)
	b.intake.SetBuilder(builder)
	if b.cfg.Unconfines(file, sandbox.Kernel()) {
		b.intake.Doubt()
	}
	b.certs.Load(file.TLS(), file.Redirect())
	b.renewal.Configure(file.TLS().ACME)
	b.supervisor.Configure(b.cfg.Settings(file), file.Named(), file.Trust())
	return nil
}

// again puts the settings in force again that hold, for what follows from them is not what it was.
func (b *backend) again() {
	b.log.Info("files of the system were replaced: handlers get a new process that may read them")
	file := b.file.Load()
	b.supervisor.Configure(b.cfg.Settings(file), file.Named(), file.Trust())
	if _, err := settings.Load(b.cfg.Config); err != nil {
		b.supervisor.Misconfigured(err)
	}
}
