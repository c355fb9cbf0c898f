package issue

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// issuer is an authority, for certmagic. That has one of its own, whose answers to
// challenges come from sockets that it opens itself.
type issuer struct {
	acme    link.ACME
	storage certmagic.Storage
	client  *acmez.Client
	slots   chan struct{} // of orders that are under way

	mu      sync.Mutex // guards account
	account *acme.Account
}

const (
	// requestLimit bounds one request to the authority.
	requestLimit = 30 * time.Second
	// orders bounds those that are under way: an authority does not like hundreds at once.
	orders = 8
)

func newIssuer(a link.ACME, storage certmagic.Storage, asked *asked, lc *link.Conn) *issuer {
	solvers := map[string]acmez.Solver{acme.ChallengeTypeTLSALPN01: asked}
	if a.InTheClear {
		solvers[acme.ChallengeTypeHTTP01] = asked
	}
	return &issuer{acme: a, storage: storage, slots: make(chan struct{}, orders), client: &acmez.Client{
		ChallengeSolvers: solvers,
		Client: &acme.Client{
			Directory: a.Directory, UserAgent: "plugserver", HTTPClient: &http.Client{Timeout: requestLimit},
			Logger: slog.New(slog.NewTextHandler(records{lc}, nil)),
		},
	}}
}

// IssuerKey names the folder of the authority's certificates.
func (i *issuer) IssuerKey() string {
	u, err := url.Parse(i.acme.Directory)
	if err != nil {
		return i.acme.Directory
	}
	return strings.Trim(u.Host+"-"+strings.ReplaceAll(strings.Trim(u.Path, "/"), "/", "-"), "-")
}

// Issue obtains a certificate.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	select {
	case i.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-i.slots }()
	for first := true; ; first = false {
		account, err := i.registered(ctx)
		if err != nil {
			return nil, err
		}
		params, err := acmez.OrderParametersFromCSR(account, csr)
		if err != nil {
			return nil, err
		}
		chains, err := i.client.ObtainCertificate(ctx, params)
		switch {
		case err != nil && isProblem(err, acme.ProblemTypeAccountDoesNotExist) && first:
			i.mu.Lock()
			i.account = nil // the authority has lost it, or was set up anew
			i.mu.Unlock()
		case err != nil:
			return nil, err
		case len(chains) == 0:
			return nil, errors.New("the authority gives no certificate")
		default:
			return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
		}
	}
}

// GetRenewalInfo is when the authority wants a certificate to be renewed (RFC 9773).
func (i *issuer) GetRenewalInfo(ctx context.Context, cert certmagic.Certificate) (acme.RenewalInfo, error) {
	return i.client.GetRenewalInfo(ctx, cert.Leaf)
}

// registered returns the account, which is the key's, and made where there is none yet.
func (i *issuer) registered(ctx context.Context) (acme.Account, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.account != nil {
		return *i.account, nil
	}
	key, err := i.key(ctx)
	if err != nil {
		return acme.Account{}, err
	}
	account, err := i.client.GetAccount(ctx, acme.Account{PrivateKey: key})
	if isProblem(err, acme.ProblemTypeAccountDoesNotExist) {
		account, err = i.register(ctx, key)
	}
	if err != nil {
		return acme.Account{}, err
	}
	i.account = &account
	return account, nil
}

func (i *issuer) register(ctx context.Context, key crypto.Signer) (acme.Account, error) {
	account := acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}
	if i.acme.Email != "" {
		account.Contact = []string{"mailto:" + i.acme.Email}
	}
	if i.acme.EABKeyID != "" {
		err := account.SetExternalAccountBinding(ctx, i.client.Client, acme.EAB{KeyID: i.acme.EABKeyID, MACKey: i.acme.EABKey})
		if err != nil {
			return acme.Account{}, err
		}
	}
	return i.client.NewAccount(ctx, account)
}

// key is the account's. Another address, or another binding, is another account.
func (i *issuer) key(ctx context.Context) (crypto.Signer, error) {
	safe := certmagic.StorageKeys.Safe
	at := path.Join("accounts", safe(i.IssuerKey()), cmp.Or(safe(i.acme.Email), "anonymous"), cmp.Or(safe(i.acme.EABKeyID), "account")+".key")
	text, err := i.storage.Load(ctx, at)
	if err == nil {
		return certmagic.PEMDecodePrivateKey(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	made, err := certmagic.DefaultKeyGenerator.GenerateKey()
	if err != nil {
		return nil, err
	}
	if text, err = certmagic.PEMEncodePrivateKey(made); err != nil {
		return nil, err
	}
	if err := i.storage.Store(ctx, at, text); err != nil {
		return nil, err
	}
	return certmagic.PEMDecodePrivateKey(text)
}

func isProblem(err error, kind string) bool {
	p, ok := errors.AsType[acme.Problem](err)
	return ok && p.Type == kind
}
