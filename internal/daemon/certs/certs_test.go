package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/acme"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

var serial atomic.Int64

// pairOf makes a certificate that ends at that time, and its key.
func pairOf(t *testing.T, end time.Time, names ...string) (certificate, key []byte) {
	t.Helper()
	return pairLasting(t, time.Time{}, end, names...)
}

func pairLasting(t *testing.T, begin, end time.Time, names ...string) (certificate, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial.Add(1)), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: begin, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

var year = time.Now().Add(365 * 24 * time.Hour)

func write(t *testing.T, path string, text []byte, mode os.FileMode) {
	t.Helper()
	os.Remove(path)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// What is bad is named, with its fix, and what was good before stays; the other pairs
// are not concerned.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	cert, key := pairOf(t, year, "a.example")
	certB, keyB := pairOf(t, year, "b.example")
	want := settings.TLS{Certificates: []string{at("a.pem"), at("b.pem")}, Keys: []string{at("a.key"), at("b.key")}}
	for _, tt := range []struct {
		name, says string
		spoil      func()
	}{
		{"all is well", "", func() {}},
		{"no certificate file", `read "D/a.pem": no such file or directory; put the file there, or name another in [TLS]`, func() { os.Remove(at("a.pem")) }},
		{"no key file", `read "D/a.key": no such file or directory; put the file there`, func() { os.Remove(at("a.key")) }},
		{"a folder", `read "D/a.key": not a regular file; put a file in its place`, func() { os.Remove(at("a.key")); os.Mkdir(at("a.key"), 0o700) }},
		{"a link to itself", `read "D/a.pem": too many levels of symbolic links; fix the symbolic link`, func() { os.Remove(at("a.pem")); os.Symlink("a.pem", at("a.pem")) }},
		{"not PEM", `certificate "D/a.pem": no certificate is in it; put one there as PEM`, func() { write(t, at("a.pem"), []byte("x"), 0o644) }},
		{"the key for the certificate", `certificate "D/a.pem": no certificate is in it`, func() { write(t, at("a.pem"), key, 0o644) }},
		{"the certificate for the key", `key "D/a.key": no private key is in it; put the certificate's there as PEM, without a passphrase`, func() { write(t, at("a.key"), cert, 0o600) }},
		{"another's key", `certificate "D/a.pem" and key "D/a.key" do not belong together (tls: private key does not match public key); put the key`, func() { write(t, at("a.key"), keyB, 0o600) }},
		{"a broken certificate", `certificate "D/a.pem", key "D/a.key": x509: `, func() {
			write(t, at("a.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1, 2}}), 0o644)
		}},
		{"a key for all to read", `key "D/a.key": its mode is 0644, and others than its owner and its group could have read or changed it; chmod 640 "D/a.key"`, func() { os.Chmod(at("a.key"), 0o644) }},
		{"a key for the group to write", `its mode is 0660`, func() { os.Chmod(at("a.key"), 0o660) }},
		{"a key for the group to read", "", func() { os.Chmod(at("a.key"), 0o640) }},
		{"too large", `read "D/a.pem": larger than 1 MiB; put only certificates there`, func() { write(t, at("a.pem"), make([]byte, maxFile+1), 0o644) }},
	} {
		os.RemoveAll(at("a.key"))
		write(t, at("a.pem"), cert, 0o644)
		write(t, at("a.key"), key, 0o600)
		write(t, at("b.pem"), certB, 0o644)
		write(t, at("b.key"), keyB, 0o600)
		k, fresh := New("", ""), New("", "")
		k.Load(want)
		tt.spoil()
		f, bare := k.Load(want), fresh.Load(want)
		for _, got := range []string{f.Problem, bare.Problem} {
			got = strings.ReplaceAll(got, dir, "D")
			if tt.says == "" && got != "" || !strings.Contains(got, tt.says) {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.says)
			}
		}
		if len(f.TLS.Pairs) != 2 || string(f.TLS.Pairs[0].Certificate) != string(cert) || string(f.TLS.Pairs[0].Key) != string(key) {
			t.Errorf("%s: the pair before is not in force", tt.name)
		}
		if n := len(bare.TLS.Pairs); tt.says != "" && (n != 1 || string(bare.TLS.Pairs[0].Certificate) != string(certB)) {
			t.Errorf("%s: without one before, %d pairs are in force", tt.name, n)
		}
	}
}

// A key of another user's, who can read and change it, is refused.
func TestForeignKey(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	path := filepath.Join(t.TempDir(), "a.key")
	write(t, path, []byte("x"), 0o600)
	if err := os.Chown(path, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := read(path, true); err == nil || !strings.Contains(err.Error(), "it belongs to user 12345, who can read and change it; chown root") {
		t.Errorf("got %v", err)
	}
}

// Files are read again once they have changed and stand still, also behind links.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, version := range []string{"one", "two"} {
		os.Mkdir(at(version), 0o700)
		cert, key := pairOf(t, year, version+".example")
		write(t, filepath.Join(at(version), "x.pem"), cert, 0o644)
		write(t, filepath.Join(at(version), "x.key"), key, 0o600)
	}
	os.Symlink("one", at("live"))
	k := New("", "")
	f := k.Load(settings.TLS{Certificates: []string{at("live/x.pem")}, Keys: []string{at("live/x.key")}})
	if f.Problem != "" || f.Certificates[0].Names[0] != "one.example" {
		t.Fatalf("%+v", f)
	}
	look := func(want string) {
		t.Helper()
		f, changed := k.Look()
		switch {
		case changed != (want != ""):
			t.Errorf("changed %t, want %q", changed, want)
		case changed && (f.Problem != "" || f.Certificates[0].Names[0] != want):
			t.Errorf("got %v, %s, want %s", f.Certificates[0].Names, f.Problem, want)
		}
	}
	look("")
	os.Symlink("two", at("flip"))
	os.Rename(at("flip"), at("live"))
	look("") // it may be in the middle
	look("two.example")
	look("")
	cert, key := pairOf(t, year, "three.example")
	write(t, at("two/x.pem"), cert, 0o644)
	look("")
	write(t, at("two/x.key"), key, 0o600)
	look("")
	look("three.example")
	write(t, at("two/x.pem"), cert, 0o644)
	look("")
	os.Symlink("one", at("flip"))
	os.Rename(at("flip"), at("live"))
	look("")
	look("one.example")
}

// Without a name the credentials that are pairs are taken; a name without a slash is
// one of them.
func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	cert, key := pairOf(t, year, "a.example")
	for _, name := range []string{"a.crt", "lonely.crt", "other"} {
		write(t, filepath.Join(dir, name), cert, 0o400)
	}
	write(t, filepath.Join(dir, "a.key"), key, 0o400)
	named := settings.TLS{Certificates: []string{"other"}, Keys: []string{"a.key"}}
	for _, tt := range []struct {
		name, dir string
		want      settings.TLS
		file      string
		says      string
	}{
		{"by themselves", dir, settings.TLS{}, "a.crt", ""},
		{"by name", dir, named, "other", ""},
		{"of a service without", "", named, "", `credential "other": the service has none; write LoadCredential=other:/PATH in the unit`},
		{"none are meant", "", settings.TLS{}, "", ""},
	} {
		f := New(tt.dir, "").Load(tt.want)
		file := ""
		if len(f.Certificates) > 0 {
			file = filepath.Base(f.Certificates[0].File)
		}
		if file != tt.file || !strings.Contains(f.Problem, tt.says) || tt.says == "" && f.Problem != "" {
			t.Errorf("%s: %q, %q", tt.name, file, f.Problem)
		}
	}
}

// New tickets get a new key each day, those before are accepted for a week, and none is
// of a client who would not be let in any more.
func TestTickets(t *testing.T) {
	dir := t.TempDir()
	ca, _ := pairOf(t, year, "ca")
	other, _ := pairOf(t, year, "other ca")
	path := filepath.Join(dir, "ca.pem")
	write(t, path, ca, 0o644)
	want := settings.TLS{ClientCAs: []string{path}, ClientAuth: tls.RequireAndVerifyClientCert}
	k := New("", "")
	first := k.Load(want).TLS.Tickets
	if again := k.Load(want).TLS.Tickets; len(first) != 1 || len(first[0]) != 32 || !reflect.DeepEqual(again, first) {
		t.Errorf("%q, then %q", first, again)
	}
	for day := range 10 {
		k.rotated = k.rotated.Add(-rotateEvery)
		f, changed := k.Look()
		if !changed || len(f.TLS.Tickets) != min(day+2, keepTickets) || slices.ContainsFunc(f.TLS.Tickets[1:], func(key []byte) bool { return string(key) == string(f.TLS.Tickets[0]) }) {
			t.Errorf("day %d: %t, %d keys", day, changed, len(f.TLS.Tickets))
		}
		if _, changed := k.Look(); changed {
			t.Errorf("day %d: twice", day)
		}
	}
	before := k.tickets[0]
	write(t, path, other, 0o644)
	if f := k.Load(want); len(f.TLS.Tickets) != 1 || string(f.TLS.Tickets[0]) == string(before) {
		t.Error("another authority's clients keep their tickets")
	}
	before = k.tickets[0]
	want.ClientAuth = tls.VerifyClientCertIfGiven
	if f := k.Load(want); len(f.TLS.Tickets) != 1 || string(f.TLS.Tickets[0]) == string(before) {
		t.Error("other rules keep the tickets")
	}
	// An authority that cannot be read stays as it was.
	write(t, path, []byte("rubbish"), 0o644)
	if f := k.Load(want); !strings.Contains(f.Problem, "no certificate is in it; put the authority's there") || string(f.TLS.ClientCAs) != string(other)+"\n" {
		t.Errorf("%q, %q", f.Problem, f.TLS.ClientCAs)
	}
}

func TestExpiry(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		left time.Duration
		says string // "" where it is not told of
	}{
		{15 * 24 * time.Hour, ""}, {Ahead, ""}, {Ahead - time.Second, "expires in 13 days, on 2026-01-15 11:59 UTC"},
		{47 * time.Hour, "expires in 47 hours, on 2026-01-03 11:00 UTC"}, {-time.Hour, "has expired on 2026-01-01 11:00 UTC"},
	} {
		cert, key := pairOf(t, now.Add(tt.left), "a.example")
		c, s := filepath.Join(dir, "a.pem"), filepath.Join(dir, "a.key")
		write(t, c, cert, 0o644)
		write(t, s, key, 0o600)
		k := New("", "")
		k.Load(settings.TLS{Certificates: []string{c}, Keys: []string{s}})
		got := ""
		for _, e := range k.Expiring(now) {
			got = Expiry(e.Certificate, now)
		}
		if got != tt.says {
			t.Errorf("%v: got %q, want %q", tt.left, got, tt.says)
		}
	}
}

// What has come by ACME is served beside what is set, and from the start on; what has not is
// awaited. It is told of as expiring once its renewal has not come about, however short it
// lasts.
func TestACME(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	cert, key := pairOf(t, year, "own.example")
	c, s := filepath.Join(dir, "own.pem"), filepath.Join(dir, "own.key")
	write(t, c, cert, 0o644)
	write(t, s, key, 0o600)
	if err := os.Mkdir(filepath.Join(dir, "live"), 0o700); err != nil {
		t.Fatal(err)
	}
	put := func(domain string, lasts, left time.Duration) {
		t.Helper()
		cert, key := pairLasting(t, now.Add(left-lasts), now.Add(left), domain)
		write(t, link.LivePath(dir, domain), append(cert, key...), 0o600)
	}
	put("a.example", 6*24*time.Hour, 2*24*time.Hour)
	put("gone.example", time.Hour, time.Hour) // of no interest any more
	k := New("", dir)
	want := settings.TLS{Certificates: []string{c}, Keys: []string{s}, ACME: acme.Settings{On: true, Domains: []string{"a.example", "b.example"}}}
	f := k.Load(want)
	if len(f.Certificates) != 2 || f.Certificates[0].Names[0] != "own.example" || f.Certificates[1].Names[0] != "a.example" || f.Awaited != ", b.example" || f.Problem != "" {
		t.Errorf("%+v", f)
	}
	if soon := k.Expiring(now); len(soon) != 0 {
		t.Errorf("expiring: %+v", soon)
	}
	put("b.example", 6*24*time.Hour, 24*time.Hour)
	if f := k.Load(want); len(f.Certificates) != 3 || f.Awaited != "" || f.Problem != "" {
		t.Errorf("%+v", f)
	}
	if soon := k.Expiring(now); len(soon) != 1 || soon[0].Names[0] != "b.example" || !soon[0].ACME {
		t.Errorf("expiring: %+v", soon)
	}
	write(t, link.LivePath(dir, "b.example"), []byte("rubbish"), 0o600)
	if f := k.Load(want); len(f.Certificates) != 3 || !strings.Contains(f.Problem, "no certificate is in it") {
		t.Errorf("%+v", f)
	}
	if f := k.Load(settings.TLS{}); len(f.Certificates) != 0 || f.Awaited != "" {
		t.Errorf("without ACME: %+v", f)
	}
}
