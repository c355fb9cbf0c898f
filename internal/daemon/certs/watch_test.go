package certs

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/acme"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/sirupsen/logrus"
)

// Settings and files may change at once, and what the settings say goes with each.
func TestWatch(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	var last Force
	w := &Watch{Keeper: New("", ""), Addresses: []string{"[::]:80", "tls:unix:/run/x", "tls:[::]:8443"}, Log: log, Put: func(f Force) { last = f }}
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
	// Challenges and failures go with what is in force, until they are over.
	two := settings.TLS{ACME: acme.Settings{On: true, Domains: []string{"b.example", "a.example"}}}
	w.Load(two, settings.Redirect{})
	if last.Problem != "" || last.Awaited != "b.example, a.example" || last.Unobtained != "" {
		t.Errorf("%+v", last)
	}
	w.Answer([]link.Challenge{{Domain: "a.example", Token: "t"}})
	w.Came("b.example", &refusal.Error{Reason: "why", Mend: "fix"})
	w.Came("a.example", &refusal.Error{Reason: "because", Mend: "fix"})
	if len(last.TLS.Challenges) != 1 || last.Unobtained != "certificate of a.example: because; fix; certificate of b.example: why; fix" {
		t.Errorf("%+v, %q", last.TLS.Challenges, last.Unobtained)
	}
	w.Answer(nil)
	w.Came("b.example", nil)
	w.Came("a.example", nil)
	if last.TLS.Challenges != nil || last.Unobtained != "" {
		t.Errorf("%+v, %q", last.TLS.Challenges, last.Unobtained)
	}
	if w.InTheClear() != true {
		t.Error("nobody listens in the clear")
	}
	w.Addresses = []string{"unix:/run/x", "tls:unix:/run/x"}
	if w.InTheClear() {
		t.Error("an authority comes by a Unix socket")
	}
	if w.Load(settings.TLS{}, settings.Redirect{HTTPS: true}); last.TLS.Redirect != 0 || !strings.Contains(last.Problem, "write Port=443") {
		t.Errorf("%d, %q", last.TLS.Redirect, last.Problem)
	}
}
