package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/andrestc/go-plugserver/internal/between/link"
)

// http2 is HTTP/2's name in ALPN.
const http2 = "h2"

// acmeTLS is the protocol, in ALPN, by which a certificate authority asks whether a name
// is ours (RFC 8737).
const acmeTLS = "acme-tls/1"

// protocols are what is offered by ALPN, as net/http does.
func (s *Server) protocols() []string {
	if s.cfg.HTTP2 == nil {
		return []string{"http/1.1"}
	}
	return []string{http2, "http/1.1"}
}

// config returns what crypto/tls is to go by. Which certificate a client gets is
// crypto/tls's to choose: the first that it supports, by its name (SNI) and by the
// kinds of keys that it knows, or else the first.
func (s *Server) config(t *link.TLS) (*tls.Config, error) {
	c := &tls.Config{NextProtos: s.protocols(), MinVersion: t.MinVersion, ClientAuth: tls.ClientAuthType(t.ClientAuth)}
	for _, p := range t.Pairs {
		pair, err := tls.X509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = append(c.Certificates, pair)
	}
	// Without a pool crypto/tls trusts whom the system does.
	c.ClientCAs = x509.NewCertPool()
	if len(t.ClientCAs) > 0 && !c.ClientCAs.AppendCertsFromPEM(t.ClientCAs) {
		return nil, errors.New("no certificate of a client's authority can be read")
	}
	keys := make([][32]byte, len(t.Tickets))
	for i, k := range t.Tickets {
		if copy(keys[i][:], k) != len(keys[i]) {
			return nil, fmt.Errorf("a ticket key of %d bytes", len(k))
		}
	}
	if len(keys) > 0 {
		c.SetSessionTicketKeys(keys)
	}
	answers, err := challenges(t.Challenges)
	if err != nil {
		return nil, err
	}
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(answers) > 0 && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmeTLS {
			return answers[strings.ToLower(hello.ServerName)], nil
		}
		if own, ok := hello.Conn.(*closing); ok && s.travels(hello) {
			c := c.Clone() // with the keys of tickets of c
			c.KeyLogWriter = own.KeyLog()
			return c, nil
		}
		return nil, nil // c
	}
	return c, nil
}

// challenges returns what answers the challenges that come as handshakes, by name. Those
// offer one protocol alone, so that no other client's is taken for one.
func challenges(all []link.Challenge) (map[string]*tls.Config, error) {
	answers := make(map[string]*tls.Config)
	for _, a := range all {
		if a.Pair == nil {
			continue
		}
		pair, err := tls.X509KeyPair(a.Pair.Certificate, a.Pair.Key)
		if err != nil {
			return nil, err
		}
		answers[strings.ToLower(a.Domain)] = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{acmeTLS}}
	}
	return answers, nil
}
