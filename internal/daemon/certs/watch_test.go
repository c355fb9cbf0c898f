package certs

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/sirupsen/logrus"
)

// Settings and files may change at once, and what the settings say goes with each.
func TestWatch(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	var last Force
	w := &Watch{Keeper: New(""), Addresses: []string{"[::]:80", "tls:unix:/run/x", "tls:[::]:8443"}, Log: log, Put: func(f Force) { last = f }}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { w.Run(ctx) })
	all.Go(func() {
		for range 100 {
			w.Keeper.mu.Lock()
			w.Keeper.rotated = time.Time{} // there is something to put in force
			w.Keeper.mu.Unlock()
			w.look()
		}
	})
	for range 100 {
		w.Load(settings.TLS{}, settings.Redirect{HTTPS: true, HSTS: "max-age=5"})
	}
	stop()
	all.Wait()
	if last.TLS.Redirect != 8443 || last.TLS.HSTS != "max-age=5" {
		t.Errorf("%+v", last.TLS)
	}
	for r, want := range map[settings.Redirect]int{{}: 0, {Port: 443}: 0, {HTTPS: true, Port: 443}: 443} {
		if w.Load(settings.TLS{}, r); last.TLS.Redirect != want {
			t.Errorf("%+v: sent on to %d", r, last.TLS.Redirect)
		}
	}
	w.Addresses = w.Addresses[:2]
	if w.Load(settings.TLS{}, settings.Redirect{HTTPS: true}); last.TLS.Redirect != 0 || !strings.Contains(last.Problem, "write Port=443") {
		t.Errorf("%d, %q", last.TLS.Redirect, last.Problem)
	}
}
