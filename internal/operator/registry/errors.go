package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// What may be wrong with a registry. An error of this room is one of these, by errors.Is,
// and a *refusal.Error with the reason and the fix, by errors.As; or it is of this machine.
var (
	ErrNoTag      = errors.New("no such tag")
	ErrDenied     = errors.New("denied")
	ErrAway       = errors.New("the registry is away") // or overloaded, or slow, or broke off: later it may be other
	ErrTLS        = errors.New("no TLS, or none that can be trusted")
	ErrHalfPushed = errors.New("half pushed")
	ErrWrong      = errors.New("wrong content") // not what its digest says, or no registry's answer
	ErrTooLarge   = errors.New("too large")
)

// trouble is an error of one of these kinds.
type trouble struct {
	kind, cause error
	said        *refusal.Error
}

func (t *trouble) Error() string { return t.said.Error() }

func (t *trouble) Unwrap() []error {
	return slices.DeleteFunc([]error{t.kind, t.said, t.cause}, func(err error) bool { return err == nil })
}

func (r *Repository) trouble(kind, cause error, reason, mend string) error {
	return &trouble{kind, cause, &refusal.Error{Reason: reason, Mend: mend}}
}

// credentialError is one of finding out credentials.
type credentialError struct{ error }

func (e credentialError) Unwrap() error { return e.error }

// explain words what came of asking for what, a tag or a digest, or of writing it.
func (r *Repository) explain(err error, what string) error {
	var t *trouble
	var said *errcode.ErrorResponse
	var creds credentialError
	switch {
	case err == nil, errors.As(err, &t), errors.Is(err, context.Canceled) && !errors.Is(err, errStalled):
		return err
	case errors.As(err, &creds):
		return r.trouble(ErrDenied, err, fmt.Sprintf("no credentials for %s can be had: %v", r.Host(), creds.error), "log in again, or name another file with --credentials")
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return r.denied(err, "")
	case errors.Is(err, errStalled):
		return r.trouble(ErrAway, err, fmt.Sprintf("registry %s: %v", r.Host(), errStalled), "try again later")
	case errors.Is(err, errdef.ErrNotFound):
		return r.missing(err, what)
	case errors.As(err, &said):
		return r.answered(said, err, what)
	}
	if !r.repo.PlainHTTP {
		if err := r.untrusted(err); err != nil {
			return err
		}
	}
	var asking *url.Error
	var network net.Error
	if errors.As(err, &asking) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		if asking != nil {
			err = asking.Err
		}
		return r.trouble(ErrAway, err, fmt.Sprintf("registry %s does not answer: %v", r.Host(), err), "try again once it does, or name another")
	}
	return r.wrong(err, what, err.Error())
}

// answered words an answer that is an error.
func (r *Repository) answered(said *errcode.ErrorResponse, err error, what string) error {
	status := said.StatusCode
	words := said.Errors.Error()
	if len(said.Errors) == 0 {
		words = http.StatusText(status)
	}
	has := func(codes ...string) bool {
		return slices.ContainsFunc(said.Errors, func(e errcode.Error) bool { return slices.Contains(codes, e.Code) })
	}
	switch {
	case has(errcode.ErrorCodeManifestBlobUnknown, errcode.ErrorCodeBlobUnknown):
		return r.trouble(ErrHalfPushed, err, fmt.Sprintf("%s: part of what %s names is not there: %s", r.Name(), what, words), "push it again")
	case status == http.StatusNotFound:
		return r.missing(err, what)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return r.denied(err, words)
	case status == http.StatusRequestEntityTooLarge, has(errcode.ErrorCodeSizeInvalid):
		return r.trouble(ErrTooLarge, err, fmt.Sprintf("registry %s takes nothing as large as %s: %s", r.Host(), what, words), "raise the limit there, or in the proxy before it")
	case status == http.StatusTooManyRequests, status >= 500:
		return r.trouble(ErrAway, err, fmt.Sprintf("registry %s answers %d: %s", r.Host(), status, words), "try again later; if it stays so, its log says why: a full disk, say")
	case status == http.StatusBadRequest && r.repo.PlainHTTP && len(said.Errors) == 0:
		return r.trouble(ErrTLS, err, fmt.Sprintf("registry %s answers plain HTTP with %d: it may speak TLS", r.Host(), status), "leave out --plain-http; on this machine: name it https://"+r.Name())
	}
	return r.wrong(err, what, fmt.Sprintf("%d: %s", status, words))
}

// missing words that something is not there.
func (r *Repository) missing(err error, what string) error {
	if strings.HasPrefix(what, "sha256:") {
		return r.trouble(ErrHalfPushed, err, fmt.Sprintf("%s has no %s: it was half pushed, or deleted since", r.Name(), what), "push it again")
	}
	return r.trouble(ErrNoTag, err, fmt.Sprintf("%s has no tag %s", r.Name(), what), "name another, or make it: plugserverctl push "+r.Name()+":"+what+" FILE.so")
}

func (r *Repository) denied(err error, words string) error {
	login := "skopeo login " + r.Host() + ", or docker or podman login; or name a file with --credentials"
	if r.credentialed.Load() {
		return r.trouble(ErrDenied, err, fmt.Sprintf("registry %s denies access to %s with these credentials: %s", r.Host(), r.Name(), words), "have it granted there, or log in as another: "+login)
	}
	return r.trouble(ErrDenied, err, fmt.Sprintf("registry %s wants credentials for %s, and none are in %s", r.Host(), r.Name(), strings.Join(r.files, ", ")), login)
}

// untrusted words what is wrong in TLS; nil if nothing is.
func (r *Repository) untrusted(err error) error {
	var record tls.RecordHeaderError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return r.trouble(ErrTLS, err, fmt.Sprintf("registry %s speaks no TLS", r.Host()), "have it do so; or --plain-http, where nobody else can be on the way to it")
	case errors.As(err, &cert):
		return r.trouble(ErrTLS, err, fmt.Sprintf("the certificate of registry %s: %v", r.Host(), cert.Err),
			"have this machine trust its authority: copy that to /usr/local/share/ca-certificates/NAME.crt, and run update-ca-certificates")
	}
	return nil
}

func (r *Repository) wrong(err error, what, why string) error {
	return r.trouble(ErrWrong, err, fmt.Sprintf("%s answers wrongly for %s: %s", r.Name(), what, why), "see what stands between here and the registry, and what was pushed there; nothing of it was taken")
}
