package issue

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/mholt/acmez/v3/acme"
)

// Pauses after failures double. What an authority has refused counts with it, often by the
// hour; a directory that cannot be reached counts nothing.
const (
	unreachedMin = 2 * time.Second
	unreachedMax = 10 * time.Minute
	refusedMin   = time.Minute
	limitedMin   = 15 * time.Minute
	refusedMax   = 6 * time.Hour
)

// again is the pause after so many failures before this one.
func again(failures int, err error) time.Duration {
	first, most := unreachedMin, unreachedMax
	if p, ok := errors.AsType[acme.Problem](err); ok {
		first, most = refusedMin, refusedMax
		if p.Type == acme.ProblemTypeRateLimited || p.Status == 429 {
			first = limitedMin
		}
	}
	return min(first<<min(failures, 20), most)
}

// reachable is what most refusals come to.
const reachable = "let the A and AAAA records of DOMAIN lead to this machine, and port 443, or 80, from there to plugserverd's sockets"

// fixes are those of an authority's problems (RFC 8555, section 6.7).
var fixes = map[string]string{
	"dns":                     "let DOMAIN have A or AAAA records that lead to this machine, or take it out of Domains=",
	"connection":              reachable,
	"unauthorized":            reachable,
	"incorrectResponse":       reachable,
	"tls":                     reachable,
	"caa":                     "name the authority in the CAA record of DOMAIN, or another one with Directory=",
	"rejectedIdentifier":      "take DOMAIN out of Domains=: the authority gives no certificates for it",
	"unsupportedIdentifier":   "take DOMAIN out of Domains=: the authority gives no certificates for it",
	"rateLimited":             "there is nothing to do but wait; for trials name the authority's staging directory with Directory=",
	"externalAccountRequired": "have the authority give you a key for an account, and name it with EABKeyID= and EABKey=",
	"invalidContact":          "correct Email=, or take it out",
	"unsupportedContact":      "correct Email=, or take it out",
	"userActionRequired":      "do what the authority asks for at the address that it gives",
	"serverInternal":          "there is nothing to do but wait; if it stays so, ask the authority, or name another with Directory=",
}

// explain says why there is no certificate, and the fix.
func explain(err error, a link.ACME, domain string) *refusal.Error {
	reason, fix := cause(err, a)
	return (&refusal.Error{Reason: reason, Mend: strings.ReplaceAll(fix, "DOMAIN", domain)}).Bounded()
}

func cause(err error, a link.ACME) (reason, fix string) {
	if p, ok := errors.AsType[acme.Problem](err); ok {
		return problem(p, a)
	}
	if _, ok := errors.AsType[base64.CorruptInputError](err); ok {
		return "the key in the file of EABKey= cannot be read: " + err.Error(), "put it there as the authority has given it, one line of base64url"
	}
	path, onDisk := errors.AsType[*fs.PathError](err)
	_, atWeb := errors.AsType[*url.Error](err)
	if onDisk && !atWeb {
		return path.Error(), fmt.Sprintf("let the daemon's user write to %q, and make room there", a.Dir)
	}
	says := innermost(err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case untrusted || unknown:
		return fmt.Sprintf("the directory %s has a certificate that is not trusted: %s", a.Directory, says),
			"correct Directory=; if it is an authority of your own, have this machine trust it (update-ca-certificates(8), of the package ca-certificates) and restart plugserverd"
	case isDNS(err):
		return fmt.Sprintf("the host of the directory %s is not found: %s", a.Directory, says), "correct Directory=, or let this machine ask a name server"
	case isNet(err):
		return fmt.Sprintf("the directory %s cannot be reached: %s", a.Directory, says), "let this machine open connections to it (firewall, HTTPS_PROXY, no-network.conf), or correct Directory="
	case errors.Is(err, syscall.ENOSPC):
		return err.Error(), fmt.Sprintf("make room in %q", a.Dir)
	}
	return fmt.Sprintf("what answers at %s is no ACME server: %s", a.Directory, says), "correct Directory=: it is the URL of an authority's ACME directory, such as https://acme-v02.api.letsencrypt.org/directory"
}

func problem(p acme.Problem, a link.ACME) (reason, fix string) {
	kind := strings.TrimPrefix(p.Type, acme.ProblemTypeNamespace)
	if p.Status == 429 {
		kind = "rateLimited"
	}
	host := a.Directory
	if u, err := url.Parse(a.Directory); err == nil {
		host = u.Host
	}
	fix, ok := fixes[kind]
	if !ok {
		fix = "correct what the authority names; if nothing of yours is wrong, report it with what plugserverd logs with --log-level=debug"
	}
	detail := p.Detail
	for _, sub := range p.Subproblems {
		detail += "; " + sub.Detail
	}
	if a.EABKeyID != "" && kind == "unauthorized" && p.Resource == nil {
		fix = "correct EABKeyID= and the key that EABKey= names; if the account's key has been used up, have the authority give you another"
	}
	return fmt.Sprintf("the authority %s refuses (%s): %s", host, kind, detail), fix
}

func isDNS(err error) bool {
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// isNet reports whether nobody has answered.
func isNet(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// innermost are err's last words, on one line, without how often it was tried and where.
func innermost(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err.Error()
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
