package testbed

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Authority signs certificates.
type Authority struct {
	PEM  []byte
	Pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Pair is a certificate and its key, both PEM.
type Pair struct{ Certificate, Key []byte }

var serials atomic.Int64

// NewAuthority makes an authority of the name.
func NewAuthority(tb TB, name string) *Authority {
	tb.Helper()
	a := &Authority{}
	pair := a.issue(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	block, _ := pem.Decode(pair.Key)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	a.key, a.PEM, a.Pool = key.(*ecdsa.PrivateKey), pair.Certificate, x509.NewCertPool()
	block, _ = pem.Decode(a.PEM)
	if a.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		tb.Fatalf("%v", err)
	}
	a.Pool.AddCert(a.cert)
	return a
}

// Issue makes a certificate for the names, and for 127.0.0.1, that lasts so long.
func (a *Authority) Issue(tb TB, lasts time.Duration, names ...string) Pair {
	tb.Helper()
	return a.issue(tb, &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(lasts), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *Authority) issue(tb TB, c *x509.Certificate) Pair {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	c.SerialNumber, c.NotBefore = big.NewInt(serials.Add(1)), time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return Pair{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

// TLS is the pair for crypto/tls.
func (p Pair) TLS(tb TB) tls.Certificate {
	tb.Helper()
	c, err := tls.X509KeyPair(p.Certificate, p.Key)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return c
}

// Write writes the pair to dir/NAME.pem and dir/NAME.key, both at once for whoever looks.
func (p Pair) Write(tb TB, dir, name string) (certificate, key string) {
	tb.Helper()
	certificate, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	for file, text := range map[string][]byte{certificate: p.Certificate, key: p.Key} {
		if err := os.WriteFile(file+"~", text, 0o600); err != nil {
			tb.Fatalf("%v", err)
		}
		if err := os.Rename(file+"~", file); err != nil {
			tb.Fatalf("%v", err)
		}
	}
	return certificate, key
}

// Secure is a daemon that also listens for TLS.
type Secure struct {
	*Daemon
	Secure string // the address
	CA     *Authority
	Config *tls.Config // of clients; to be cloned
}

// StartSecure starts a daemon in dir with a certificate of its own for e2e.example, and
// more lines below [TLS].
func StartSecure(tb TB, dir string, lines []string, options ...Option) *Secure {
	tb.Helper()
	s := &Secure{CA: NewAuthority(tb, "e2e authority")}
	cert, key := s.CA.Issue(tb, 300*24*time.Hour, "e2e.example").Write(tb, dir, "server")
	text := "[TLS]\nCertificate=" + cert + "\nKey=" + key + "\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "plugserverd.conf"), []byte(text), 0o644); err != nil {
		tb.Fatalf("%v", err)
	}
	s.Daemon = Start(tb, append([]Option{In(dir), Flags("--listen", "tls:127.0.0.1:0")}, options...)...)
	for _, a := range s.Status().Daemon.Listeners {
		if addr, ok := strings.CutPrefix(a, "tls:"); ok {
			s.Secure = addr
		}
	}
	s.Config = &tls.Config{RootCAs: s.CA.Pool, ServerName: "e2e.example"}
	return s
}

// DialTLS opens a TLS connection; cfg nil is s.Config.
func (s *Secure) DialTLS(cfg *tls.Config) (*Client, error) {
	if cfg == nil {
		cfg = s.Config
	}
	return DialTLS(s.Secure, cfg)
}

// DialTLS opens a TLS connection.
func DialTLS(addr string, cfg *tls.Config) (*Client, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: AnswerWait}, "tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	return &Client{nc, bufio.NewReader(nc)}, nil
}
