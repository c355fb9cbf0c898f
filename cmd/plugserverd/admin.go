package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/andrestc/go-plugserver/internal/daemon/admin"
	"github.com/andrestc/go-plugserver/internal/daemon/page"
	"github.com/andrestc/go-plugserver/internal/daemon/rates"
	"github.com/andrestc/go-plugserver/internal/daemon/sockets"
)

// adminName is the FileDescriptorName= (systemd.socket(5)) of sockets for those who watch
// over the service.
const adminName = "admin"

// split takes those out of systemd's sockets.
func split(files []*os.File, addresses []string) (rest []*os.File, restAddresses []string, watching []*os.File) {
	for i, f := range files {
		if f.Name() == adminName {
			watching = append(watching, f)
			continue
		}
		rest, restAddresses = append(rest, f), append(restAddresses, addresses[i])
	}
	return rest, restAddresses, watching
}

// adminListeners listens on an address, unless it is empty, and on systemd's sockets, which it
// closes.
func adminListeners(address string, files []*os.File) (all []net.Listener, err error) {
	if address != "" {
		l, err := sockets.One(address)
		if err != nil {
			return nil, fmt.Errorf("--admin-listen: %w", err)
		}
		all = append(all, l)
	}
	for _, f := range files {
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("take socket %q from systemd: %w", adminName, err)
		}
		if ul, ok := l.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false) // systemd's
		}
		all = append(all, l)
	}
	return all, nil
}

// watchers begins to serve those who watch over the service, where there is a socket for
// them, until ctx is done.
func (d *daemon) watchers(ctx context.Context, all *sync.WaitGroup, stopping <-chan struct{}) {
	if len(d.admin) == 0 {
		return
	}
	book := rates.New(d.sums.Handlers)
	all.Go(func() { book.Run(ctx) })
	page := page.New(page.Config{Overview: d.supervisor.Overview, Rates: book, Events: d.events, Stopping: stopping})
	for _, l := range d.admin {
		all.Go(func() { d.serveAdmin(ctx, l, page, stopping) })
	}
}

// serveAdmin serves those who watch over the service until ctx is done.
func (d *daemon) serveAdmin(ctx context.Context, l net.Listener, page *page.Page, stopping <-chan struct{}) {
	d.log.WithField("listen", l.Addr().String()).Info("admin socket is ready")
	err := admin.Serve(ctx, l, admin.Backend{
		Metrics: d.metrics.Handler(), Page: page, Alive: d.supervisor.Alive, Ready: d.supervisor.Ready(), Stopping: stopping,
	})
	if err != nil {
		d.log.WithError(err).Error("nobody is answered on the admin socket any more")
	}
}
