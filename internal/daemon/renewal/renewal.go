// Package renewal has certificates obtained and renewed by ACME: it runs the certifier, the
// process that does, beside the supervisor, passes its challenges on to who answers them,
// and tells what it has come to.
package renewal

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/proc"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/acme"
	"github.com/sirupsen/logrus"
)

// Config is what a Renewal is given.
type Config struct {
	Certifier string // the program's path
	Dir       string // the certifier's folder, which is made where it is not there
	Certs     Certs
	// Alive returns once the gate has answered a question that it is asked after all that
	// it was told before.
	Alive func(context.Context) error
	Log   *logrus.Logger
}

// Certs are the certificates in force: a certs.Watch.
type Certs interface {
	Listens() bool                          // somebody listens for TLS
	InTheClear() bool                       // somebody listens for HTTP without
	Secret(file string) (string, error)     // what a file, or a credential, has
	Answer(open []link.Challenge)           // has the gate told what is open from now on
	Came(domain string, err *refusal.Error) // nil, too, where it is tried anew
}

// Renewal is the one of a daemon.
type Renewal struct {
	cfg    Config
	change chan struct{} // capacity 1: there is something new for Run
	// told is when a failure was told of, by the domain and the fix. It is owned by the
	// goroutine of Run.
	told map[string]time.Time

	mu     sync.Mutex // guards the rest, and the order of what Certs is told of domains
	want   acme.Settings
	failed map[string]bool // domains
}

const (
	// startMin and startMax bound the pause before a certifier that has ended is started
	// again; it doubles.
	startMin = time.Second
	startMax = 5 * time.Minute
	// answerWait bounds how long the gate may take to answer, endWait how long the
	// certifier may to end.
	answerWait = 20 * time.Second
	endWait    = time.Second
	// tellEvery is how often a failure is told of that goes on.
	tellEvery = 24 * time.Hour
)

// New returns a Renewal that has nothing to do.
func New(cfg Config) *Renewal {
	return &Renewal{cfg: cfg, change: make(chan struct{}, 1), told: make(map[string]time.Time), failed: make(map[string]bool)}
}

// Configure has certificates obtained as want says, where anybody listens for TLS. What has
// failed is tried again at once.
func (r *Renewal) Configure(want acme.Settings) {
	if !r.cfg.Certs.Listens() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if want.Equal(r.want) && len(r.failed) == 0 {
		return
	}
	r.want = want
	for domain := range r.failed {
		r.cfg.Certs.Came(domain, nil)
	}
	clear(r.failed)
	select {
	case r.change <- struct{}{}:
	default:
	}
}

func (r *Renewal) wanted() acme.Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.want
}

// Run runs the certifier, as Configure says, until ctx is done.
func (r *Renewal) Run(ctx context.Context) {
	pause := startMin
	for ctx.Err() == nil {
		select {
		case <-r.change: // what it is of follows
		default:
		}
		want := r.wanted()
		if !want.On {
			select {
			case <-r.change:
				continue
			case <-ctx.Done():
				return
			}
		}
		began := time.Now()
		err := r.serve(ctx, want)
		if err == nil {
			pause = startMin
			clear(r.told) // who reloads wants to know
			continue
		}
		if time.Since(began) > startMax {
			pause = startMin
		}
		for _, domain := range want.Domains {
			r.came(domain, err, pause)
		}
		timer := time.NewTimer(pause)
		pause = min(2*pause, startMax)
		select {
		case <-timer.C:
		case <-r.change:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// serve runs one certifier. It returns nil once Configure has said something else, or ctx is
// done, and else why there is no certifier.
func (r *Renewal) serve(ctx context.Context, want acme.Settings) *refusal.Error {
	m, err := r.message(want)
	if err != nil {
		return &refusal.Error{Reason: "EABKey=: " + err.Error(), Mend: "have the authority's key there"}
	}
	if err := os.MkdirAll(r.cfg.Dir, 0o700); err != nil {
		return &refusal.Error{Reason: err.Error(), Mend: fmt.Sprintf("let the daemon's user write to the folder above %q, and make room there", r.cfg.Dir)}
	}
	child, err := proc.Start(proc.Spec{
		Path: r.cfg.Certifier, Env: proc.Environ(),
		Output: func(stream, line string) { r.cfg.Log.WithField("stream", stream).Warn("certifier: " + line) },
	})
	if err != nil {
		fix := "let this machine start processes"
		if _, gone := os.Stat(r.cfg.Certifier); gone != nil {
			fix = "put plugserver-acme of this release there; the package has it, and make build"
		}
		return &refusal.Error{Reason: "the certifier cannot be started: " + err.Error(), Mend: fix}
	}
	defer func() {
		child.Link.Close()
		child.End(endWait)
		r.cfg.Certs.Answer(nil)
	}()
	said := make(chan link.Message)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		defer close(said)
		for {
			m, err := child.Recv()
			if err != nil {
				return
			}
			select {
			case said <- m:
			case <-ended:
				return
			}
		}
	}()
	child.Link.Send(m)
	for {
		select {
		case m, ok := <-said:
			if !ok {
				child.End(endWait)
				return &refusal.Error{Reason: "the certifier has ended: " + child.Status(), Mend: "if it happens again, report it with what the log has of it"}
			}
			r.heard(ctx, child, m)
		case <-r.change:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// message is what the certifier is told.
func (r *Renewal) message(want acme.Settings) (m link.Message, err error) {
	a := &link.ACME{
		Dir: r.cfg.Dir, Directory: want.Directory, Domains: want.Domains, Email: want.Email, EABKeyID: want.EABKeyID, InTheClear: r.cfg.Certs.InTheClear(),
	}
	if want.EABKey != "" {
		a.EABKey, err = r.cfg.Certs.Secret(want.EABKey)
	}
	return link.Message{Kind: link.Certify, ACME: a}, err
}

func (r *Renewal) heard(ctx context.Context, child *proc.Child, m link.Message) {
	switch m.Kind {
	case link.Asked:
		ctx, cancel := context.WithTimeout(ctx, answerWait)
		defer cancel()
		r.cfg.Certs.Answer(m.Challenges)
		if len(m.Challenges) > 0 {
			if err := r.cfg.Alive(ctx); err != nil {
				r.cfg.Log.WithError(err).Debug("the gate has not said that it answers a certificate authority")
			}
		}
		child.Link.Send(link.Message{Kind: link.Answers, Seq: m.Seq})
	case link.Certified:
		if m.Refusal != nil {
			r.came(m.Name, m.Refusal.Bounded(), m.Grace)
			return
		}
		maps.DeleteFunc(r.told, func(id string, _ time.Time) bool { return strings.HasPrefix(id, m.Name+" ") })
		r.came(m.Name, nil, 0)
		r.tellCome(m.Name, m.Text)
	case link.Log:
		r.cfg.Log.Debug("certifier: " + m.Bounded().Line())
	}
}

// came notes how a domain's certificate stands, and when one that has failed is tried again.
// A failure is told of once, and once a day while it goes on.
func (r *Renewal) came(domain string, failed *refusal.Error, again time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.want.Domains, domain) {
		return // it was said before Configure
	}
	if failed == nil {
		delete(r.failed, domain)
		r.cfg.Certs.Came(domain, nil)
		return
	}
	id := domain + " " + failed.Mend
	failed = &refusal.Error{Reason: failed.Reason, Mend: fmt.Sprintf("%s; it is tried again in %v, and at a reload", failed.Mend, again)}
	r.failed[domain] = true
	r.cfg.Certs.Came(domain, failed)
	if time.Since(r.told[id]) < tellEvery {
		return
	}
	r.told[id] = time.Now()
	r.cfg.Log.WithFields(logrus.Fields{event.Field: event.CertificateFailed, "domain": domain, "reason": failed.Reason, "mend": failed.Mends()}).
		Errorf("certificate of %s does not come by ACME", domain)
}

func (r *Renewal) tellCome(domain, how string) {
	of := map[string]event.Event{"obtained": event.CertificateObtained, "renewed": event.CertificateRenewed}
	if what, ok := of[how]; ok {
		r.cfg.Log.WithFields(logrus.Fields{event.Field: what, "domain": domain, "file": link.LivePath(r.cfg.Dir, domain)}).
			Infof("certificate of %s was %s by ACME", domain, how)
	}
}
