package issue

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/file/atomicfile"
	"github.com/caddyserver/certmagic"
)

// pair is what certmagic has stored for a domain; the error is fs.ErrNotExist where it has
// not stored both.
func (c *certifier) pair(ctx context.Context, domain string) (certificate, key []byte, err error) {
	certificate, err = c.storage.Load(ctx, certmagic.StorageKeys.SiteCert(c.issuer.IssuerKey(), domain))
	if err == nil {
		key, err = c.storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(c.issuer.IssuerKey(), domain))
	}
	return certificate, key, err
}

// heal deletes what is stored where it is not a certificate with its key: certmagic writes
// one after the other, and would not touch again what a crash has left half written.
func (c *certifier) heal(ctx context.Context, domain string) error {
	certificate, key, err := c.pair(ctx, domain)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if _, bad := tls.X509KeyPair(certificate, key); bad != nil {
			err = c.storage.Delete(ctx, certmagic.StorageKeys.CertsSitePrefix(c.issuer.IssuerKey(), domain))
		}
	}
	return err
}

// publish puts what is stored for a domain where the supervisor looks for it, and tells how
// it has come.
func (c *certifier) publish(ctx context.Context, domain string) error {
	certificate, key, err := c.pair(ctx, domain)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // ManageSync has told why
	}
	if err != nil {
		return err
	}
	path := link.LivePath(c.acme.Dir, domain)
	text := append(append(bytes.Clone(certificate), '\n'), key...)
	if there, err := os.ReadFile(path); err != nil || !bytes.Equal(there, text) {
		if err := write(path, text); err != nil {
			return err
		}
	}
	c.mu.Lock()
	how := c.came[domain]
	delete(c.came, domain)
	c.mu.Unlock()
	c.link.Send(link.Message{Kind: link.Certified, Name: domain, Text: how})
	return nil
}

func write(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := atomicfile.Create(dir, ".new", 0o600)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Commit(path)
}
