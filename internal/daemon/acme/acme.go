// Package acme is what [TLS] says of certificates that are obtained by ACME (RFC 8555): its
// words, and what is wrong in them. It is pure.
package acme

import (
	"errors"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// DefaultDirectory is Let's Encrypt's.
const DefaultDirectory = "https://acme-v02.api.letsencrypt.org/directory"

// Settings are what [TLS] says of certificates that are obtained by ACME (RFC 8555).
type Settings struct {
	On        bool
	Domains   []string // each gets a certificate; in lower case, and no wildcards
	Email     string   // that the authority knows; "" is none
	Directory string   // the authority's, a URL
	// EABKeyID and EABKey bind the account to one of the authority's; EABKey is a file,
	// or the name of a credential. Both are "" where it needs none.
	EABKeyID, EABKey string

	Off bool // ACME=no: what else is said is kept for another day
}

// Equal reports whether both say the same.
func (a Settings) Equal(b Settings) bool {
	return slices.Equal(a.Domains, b.Domains) && a.On == b.On && a.Email == b.Email && a.Directory == b.Directory && a.EABKeyID == b.EABKeyID && a.EABKey == b.EABKey
}

// Finish is what the lines mean together.
func (a *Settings) Finish() error {
	switch {
	case a.Off:
		*a = Settings{}
	case !a.On && !a.Equal(Settings{}):
		return errors.New("[TLS] says how to get certificates by ACME, but not that they are wanted; write ACME=yes, or ACME=no")
	case !a.On:
	case len(a.Domains) == 0:
		return errors.New("[TLS] has ACME=yes and no Domains=; name those that lead to this machine, such as Domains=example.com www.example.com")
	case (a.EABKeyID == "") != (a.EABKey == ""):
		return errors.New("[TLS] has one of EABKeyID= and EABKey=; the authority gives both, the key goes into a file that EABKey= names")
	case a.Directory == "":
		a.Directory = DefaultDirectory
	}
	return nil
}

// AddDomains adds names, and drops all for an empty value.
func (a *Settings) AddDomains(value string) error {
	if value == "" {
		a.Domains = nil
		return nil
	}
	for _, word := range strings.Fields(value) {
		domain, err := parseDomain(word)
		if err != nil {
			return err
		}
		if !slices.Contains(a.Domains, domain) {
			a.Domains = append(a.Domains, domain)
		}
	}
	return nil
}

// label is a part of a domain name.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func parseDomain(s string) (string, error) {
	s = strings.TrimSuffix(strings.ToLower(s), ".")
	if strings.HasPrefix(s, "*.") {
		return "", errors.New("a wildcard needs a change in DNS, which is not made here; name each host, or have certbot or lego get it and name its files with Certificate= and Key=")
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "", errors.New("an address, not a domain; write the name by which clients know this machine")
	}
	for part := range strings.SplitSeq(s, ".") {
		if !label.MatchString(part) || len(s) > 253 {
			return "", errors.New("not a domain name; write names such as example.com www.example.com, with spaces between them, and what is not ASCII in its xn-- form")
		}
	}
	return s, nil
}

// ParseEmail reads the address of an account.
func ParseEmail(s string) (string, error) {
	s = strings.TrimPrefix(s, "mailto:")
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
		return "", errors.New("not an address of e-mail; write one such as webmaster@example.com")
	}
	return s, nil
}

// ParseDirectory reads the URL of an authority.
func ParseDirectory(s string) (string, error) {
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" || u.Host == "" {
		return "", errors.New("not the URL of a directory; write one such as " + DefaultDirectory)
	}
	return s, nil
}

// ParseWord reads a name that an authority has given.
func ParseWord(s string) (string, error) {
	if strings.ContainsAny(s, "\"' \t") {
		return "", errors.New("not one word; write it as the authority has given it, without quotes")
	}
	return s, nil
}
