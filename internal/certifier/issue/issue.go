// Package issue is the certifier's process: it obtains certificates by ACME (RFC 8555), and
// has them renewed in time. What proves that a name is ours it has the gate answer. It is
// the only importer of certmagic, which keeps accounts, keys and certificates in the
// certifier's folder, and knows when to renew.
package issue

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/caddyserver/certmagic"
)

// Run serves the supervisor at the other end of lc until that is gone. The process is to
// end then.
func Run(lc *link.Conn) {
	// Keys are in its memory, and cells run as the same user (PR_SET_DUMPABLE, prctl(2)).
	const setDumpable = 4
	syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	asked := &asked{link: lc, open: make(map[string]link.Challenge), waiting: make(map[uint64]chan struct{})}
	for {
		m, err := lc.Recv()
		if err != nil {
			return
		}
		switch {
		case m.Kind == link.Certify && m.ACME != nil:
			c := newCertifier(lc, *m.ACME, asked)
			for _, domain := range c.acme.Domains {
				all.Go(func() { c.keep(ctx, domain) })
			}
		case m.Kind == link.Answers:
			asked.answered(m.Seq)
		}
	}
}

// certifier has the certificates of one message.
type certifier struct {
	link    *link.Conn
	acme    link.ACME
	storage certmagic.Storage
	cache   *certmagic.Cache
	config  *certmagic.Config
	issuer  *issuer

	mu   sync.Mutex        // guards the rest
	came map[string]string // by domain: how a certificate has come that was not published yet
}

const (
	// lookMin and lookMax bound the pause between two looks at a certificate, which is
	// share of its lifetime: those that last 6 days and 90 are looked at alike.
	lookMin = time.Second
	lookMax = 10 * time.Minute
	share   = 60
	// limit bounds one look, with all that an authority takes for a certificate.
	limit = 15 * time.Minute
)

func newCertifier(lc *link.Conn, a link.ACME, asked *asked) *certifier {
	c := &certifier{link: lc, acme: a, storage: &certmagic.FileStorage{Path: a.Dir}, came: make(map[string]string)}
	log := logger(lc)
	c.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return c.config, nil },
		RenewCheckInterval: lookMin, Logger: log,
	})
	os.RemoveAll(filepath.Join(a.Dir, "locks")) // a predecessor's, which is gone
	c.cache.Stop()                              // its upkeep: each look begins with the files
	c.issuer = newIssuer(a, c.storage, asked, lc)
	c.config = certmagic.New(c.cache, certmagic.Config{
		Storage: c.storage, Issuers: []certmagic.Issuer{c.issuer}, OCSP: certmagic.OCSPConfig{DisableStapling: true}, OnEvent: c.event, Logger: log,
	})
	return c
}

// event is certmagic's OnEvent.
func (c *certifier) event(_ context.Context, event string, data map[string]any) error {
	if event == "cert_obtained" {
		how := "obtained"
		if renewal, _ := data["renewal"].(bool); renewal {
			how = "renewed"
		}
		domain, _ := data["identifier"].(string)
		c.mu.Lock()
		c.came[domain] = how
		c.mu.Unlock()
	}
	return nil
}

// keep sees to the certificate of a domain until ctx is done.
func (c *certifier) keep(ctx context.Context, domain string) {
	failures := 0
	for {
		lasts, err := c.look(ctx, domain)
		pause := min(max(lasts/share, lookMin), lookMax)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = again(failures, err)
			failures++
			c.link.Send(link.Message{Kind: link.Certified, Name: domain, Refusal: explain(err, c.acme, domain), Grace: pause})
		default:
			failures = 0
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// look obtains a domain's certificate where there is none, or renews it where that is due,
// and publishes it. It returns how long the certificate lasts in all.
func (c *certifier) look(ctx context.Context, domain string) (lasts time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.heal(ctx, domain); err != nil {
		return 0, err
	}
	err = c.config.ManageSync(ctx, []string{domain})
	for _, cert := range c.cache.AllMatchingCertificates(domain) {
		lasts = cert.Lifetime()
	}
	c.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: domain}})
	if told := c.publish(ctx, domain); err == nil {
		err = told
	}
	return lasts, err
}
