package certs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// Prefix marks the addresses of sockets that speak TLS.
const Prefix = "tls:"

// Places are those in addresses of the sockets that speak TLS.
func Places(addresses []string) (places []int) {
	for i, a := range addresses {
		if strings.HasPrefix(a, Prefix) {
			places = append(places, i)
		}
	}
	return places
}

// Proxied marks, behind Prefix where that is there, those that proxies connect to with the PROXY
// protocol.
const Proxied = "proxy:"

// ProxiedPlaces are theirs in addresses.
func ProxiedPlaces(addresses []string) (places []int) {
	for i, a := range addresses {
		if strings.HasPrefix(strings.TrimPrefix(a, Prefix), Proxied) {
			places = append(places, i)
		}
	}
	return places
}

// Watch puts certificates in force, as the settings name them, and again as their
// files change.
type Watch struct {
	Keeper    *Keeper
	Addresses []string // of all sockets
	Put       func(Force)
	Log       *logrus.Logger
	ConfFile  string // that has [TLS]

	mu        sync.Mutex // guards the rest, and the order of Put
	tls       settings.TLS
	open      []link.Challenge
	failed    map[string]*refusal.Error // by domain: why its certificate does not come by ACME
	redirect  settings.Redirect
	told      map[string]time.Time // by a certificate's file and end: when its end was told last
	forbidden bool                 // this process's memory is nobody's to read any more
}

// Load puts in force what t names, and r says.
func (w *Watch) Load(t settings.TLS, r settings.Redirect) {
	const fix = "and nothing listens for TLS: add --listen tls:ADDRESS, or a socket that is named https"
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tls, w.redirect = t, r
	switch {
	case w.Listens():
		w.inForce(w.Keeper.Load(t))
	case len(t.Certificates) > 0 || t.ACME.On:
		w.Log.Warnf("[TLS] in %s names certificates, %s", w.ConfFile, fix)
	case r.HTTPS:
		w.Log.Warnf("[Redirect] in %s sends clients on to HTTPS, %s", w.ConfFile, fix)
	}
}

// Answer has the questions of certificate authorities answered that are open from now on,
// and no others.
func (w *Watch) Answer(open []link.Challenge) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = open
	w.inForce(w.Keeper.Load(w.tls))
}

// Secret is what a file, or a credential, has that only the daemon's user may read.
func (w *Watch) Secret(file string) (string, error) { return w.Keeper.secret(file) }

// Came says that a domain's certificate has come by ACME, or why not.
func (w *Watch) Came(domain string, failed *refusal.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = make(map[string]*refusal.Error)
	}
	if w.failed[domain] = failed; failed == nil {
		delete(w.failed, domain)
	}
	w.inForce(w.Keeper.Load(w.tls))
}

// Listens reports whether any socket is for TLS.
func (w *Watch) Listens() bool { return len(Places(w.Addresses)) > 0 }

// InTheClear reports whether any socket is for HTTP without TLS, over TCP.
func (w *Watch) InTheClear() bool {
	return slices.ContainsFunc(w.Addresses, func(a string) bool {
		return !strings.HasPrefix(a, Prefix) && !strings.HasPrefix(a, "unix:")
	})
}

// redirectPort is where clients in the clear are sent on to, 0 for nowhere.
func (w *Watch) redirectPort() (int, error) {
	if !w.redirect.HTTPS {
		return 0, nil
	}
	if w.redirect.Port != 0 {
		return w.redirect.Port, nil
	}
	for _, i := range Places(w.Addresses) {
		if a, err := netip.ParseAddrPort(strings.TrimPrefix(w.Addresses[i], Prefix)); err == nil {
			return int(a.Port()), nil
		}
	}
	return 0, errors.New("[Redirect] has HTTPS=yes, and no socket for TLS has a port; write Port=443, or which it is")
}

// inForce puts f in force. The lock is held.
func (w *Watch) inForce(f Force) {
	if !w.forbidden && len(f.TLS.Pairs) > 0 {
		// The keys are in it: cells run as the same user (PR_SET_DUMPABLE, prctl(2)).
		w.forbidden = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) == nil
	}
	f.TLS.Challenges = w.open
	for _, domain := range slices.Sorted(maps.Keys(w.failed)) {
		f.Unobtained += fmt.Sprintf("; certificate of %s: %v", domain, w.failed[domain])
	}
	f.Unobtained, f.Awaited = strings.TrimPrefix(f.Unobtained, "; "), strings.TrimPrefix(f.Awaited, ", ")
	if len(f.TLS.Pairs) == 0 && f.Problem == "" && !w.tls.ACME.On {
		f.Problem = fmt.Sprintf("there is no certificate for TLS, and no handshake comes about; name Certificate= and Key= below [TLS] in %s", w.ConfFile)
	}
	var err error
	f.TLS.HSTS = w.redirect.HSTS
	if f.TLS.Redirect, err = w.redirectPort(); err != nil {
		f.Problem = strings.TrimPrefix(f.Problem+"; "+err.Error(), "; ")
	}
	w.Put(f)
}

// lookEvery is how often the files are looked at.
const lookEvery = time.Second

// Run looks at the files until ctx is done, and tells of certificates that are to
// expire.
func (w *Watch) Run(ctx context.Context) {
	if !w.Listens() {
		return
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		w.look()
		w.tellExpiry(time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if f, ok := w.Keeper.Look(); ok {
		w.inForce(f)
	}
}

// tellExpiry tells once a day of each certificate that expires soon.
func (w *Watch) tellExpiry(now time.Time) {
	for _, c := range w.Keeper.Expiring(now) {
		id := c.File + c.NotAfter.String()
		if now.Sub(w.told[id]) < 24*time.Hour {
			continue
		}
		if w.told == nil {
			w.told = make(map[string]time.Time)
		}
		w.told[id] = now
		fix := "put a new one, and its key, in the place of " + c.File
		if c.ACME {
			fix = "plugserverctl status and events tell why it is not renewed"
		}
		w.Log.WithFields(logrus.Fields{event.Field: event.CertificateExpires, "file": c.File, "not_after": c.NotAfter.UTC().Format(time.RFC3339)}).
			Warnf("certificate of %s %s: %s", strings.Join(c.Names, ", "), Expiry(c.Certificate, now), fix)
	}
}
