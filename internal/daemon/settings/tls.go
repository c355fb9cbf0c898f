package settings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/andrestc/go-plugserver/internal/daemon/acme"
	"github.com/andrestc/go-plugserver/internal/file/ini"
)

// TLS is what [TLS] says; the zero value says nothing. Paths are absolute, or the name
// of a credential of the service (systemd.exec(5), LoadCredential=).
type TLS struct {
	Certificates []string // files, each with its chain
	Keys         []string // the n-th is that of the n-th certificate
	ClientCAs    []string
	ClientAuth   tls.ClientAuthType
	MinVersion   uint16        // 0 is crypto/tls's default
	ACME         acme.Settings // zero where it is off

	clientAuth bool // ClientAuth= is set
}

// TLS is what [TLS] says. The caller does not change it.
func (s *Settings) TLS() TLS { return s.tls }

func (s *Settings) tlsKeys() keys {
	t := &s.tls
	all := keys{
		"Certificate": add(&t.Certificates, parseFile),
		"Key":         add(&t.Keys, parseFile),
		"ClientCA":    add(&t.ClientCAs, parseFile),
		"ClientAuth": func(value string) error {
			t.clientAuth = value != ""
			return set(&t.ClientAuth, parseClientAuth)(value)
		},
		"MinVersion": set(&t.MinVersion, parseVersion),
	}
	maps.Copy(all, keys{
		"ACME": func(value string) error {
			err := set(&t.ACME.On, ini.Bool)(value)
			t.ACME.Off = value != "" && !t.ACME.On
			return err
		},
		"Domains":   t.ACME.AddDomains,
		"Email":     set(&t.ACME.Email, acme.ParseEmail),
		"Directory": set(&t.ACME.Directory, acme.ParseDirectory),
		"EABKeyID":  set(&t.ACME.EABKeyID, acme.ParseWord),
		"EABKey":    set(&t.ACME.EABKey, parseFile),
	})
	return all
}

// finish is what the lines mean together.
func (t *TLS) finish() error {
	if c, k := len(t.Certificates), len(t.Keys); c != k {
		return fmt.Errorf("[TLS] has %d of Certificate= and %d of Key=; each certificate needs its key, in the same order", c, k)
	}
	switch {
	case len(t.ClientCAs) > 0 && !t.clientAuth:
		t.ClientAuth = tls.RequireAndVerifyClientCert
	case len(t.ClientCAs) == 0 && t.ClientAuth >= tls.VerifyClientCertIfGiven:
		return fmt.Errorf("[TLS] has ClientAuth=%s and no ClientCA=; name the file of those who sign the clients' certificates, or write ClientAuth=require-any to look at them in the handler", clientAuths[t.ClientAuth])
	}
	return t.ACME.Finish()
}

// add appends what parse makes of a value, and drops all for an empty one.
func add(to *[]string, parse func(string) (string, error)) func(string) error {
	return func(value string) error {
		if value == "" {
			*to = nil
			return nil
		}
		v, err := parse(value)
		if err == nil {
			*to = append(*to, v)
		}
		return err
	}
}

func parseFile(s string) (string, error) {
	switch {
	case filepath.IsAbs(s):
		return filepath.Clean(s), nil
	case strings.ContainsAny(s, "/\"' "):
		return "", errors.New("not an absolute path; write one such as /etc/plugserver/example.com.pem, without quotes, or the name of a credential")
	}
	return s, nil
}

// clientAuths are the words for crypto/tls's types, in their order.
var clientAuths = []string{"none", "request", "require-any", "verify-if-given", "require-and-verify"}

func parseClientAuth(s string) (tls.ClientAuthType, error) {
	if i := slices.Index(clientAuths, s); i >= 0 {
		return tls.ClientAuthType(i), nil
	}
	return 0, fmt.Errorf("not known; possible are %s", strings.Join(clientAuths, ", "))
}

func parseVersion(s string) (uint16, error) {
	switch strings.TrimPrefix(s, "TLS") {
	case "1.0":
		return tls.VersionTLS10, nil
	case "1.1":
		return tls.VersionTLS11, nil
	case "1.2":
		return tls.VersionTLS12, nil
	case "1.3":
		return tls.VersionTLS13, nil
	}
	return 0, errors.New("not a version of TLS; possible are 1.0, 1.1, 1.2 and 1.3")
}
