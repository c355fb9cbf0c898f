// Package certs reads the certificates and keys that [TLS] names, says what is wrong in
// them, and keeps what is in force: where a file is bad, what was read of it before
// stays.
package certs

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/daemon/settings"
)

const (
	// rotateEvery is how often new session tickets get a new key, keepTickets how many
	// keys are accepted: for a week, as in crypto/tls.
	rotateEvery = 24 * time.Hour
	keepTickets = 8
	// Ahead is how long before its end a certificate is told of.
	Ahead = 14 * 24 * time.Hour
)

// Force is what is in force. It is never changed.
type Force struct {
	TLS          *link.TLS
	Certificates []api.Certificate
	// Problem says what is wrong in the files, with the fix; "" if nothing is.
	Problem string
	// Unobtained says which certificates do not come by ACME, with the fix, and Awaited
	// which are about to; "" if there is none.
	Unobtained, Awaited string
}

// Keeper keeps what is in force. Any goroutine may call its methods.
type Keeper struct {
	credentials string // the folder of the service's; "" if it has none
	acme        string // the certifier's

	mu      sync.Mutex // guards the rest
	want    settings.TLS
	pairs   map[string]*pair // that are good, by the certificate's file and the key's
	cas     []byte           // PEM
	tickets [][]byte
	rotated time.Time
	seen    string // how the files stood when they were read
	pending string // how they stood at the last look, where that was otherwise
}

// New returns a Keeper. The credentials are the folder of systemd's, or "", and acme is
// that of what was obtained by ACME.
func New(credentials, acme string) *Keeper {
	return &Keeper{credentials: credentials, acme: acme, pairs: make(map[string]*pair)}
}

// Load reads what t names.
func (k *Keeper) Load(t settings.TLS) Force {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t.ClientAuth != k.want.ClientAuth || !slices.Equal(t.ClientCAs, k.want.ClientCAs) {
		k.tickets = nil // who was let in before is not let in by his ticket
	}
	k.want, k.pending = t, ""
	return k.load()
}

// Look reads the files again where they have changed, and stood as they do at the look
// before: a renewed certificate may come a moment before its key. It reports whether
// there is something to put in force.
func (k *Keeper) Look() (Force, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.state()
	switch {
	case now == k.seen:
		k.pending = ""
	case now != k.pending:
		k.pending = now
	default:
		k.pending = ""
		return k.load(), true
	}
	if time.Since(k.rotated) >= rotateEvery {
		return k.load(), true
	}
	return Force{}, false
}

// load reads everything. The lock is held.
func (k *Keeper) load() Force {
	k.seen = k.state()
	f := Force{TLS: &link.TLS{ClientAuth: int(k.want.ClientAuth), MinVersion: k.want.MinVersion}}
	var problems []error
	pairs := make(map[string]*pair)
	size := 0
	for _, n := range k.names() {
		p, err := readPair(n.certificate, n.key)
		if err != nil {
			problems = append(problems, err)
			p = k.pairs[n.id()]
		}
		if p == nil {
			continue
		}
		if size += len(p.Certificate) + len(p.Key); size > maxAll {
			problems = append(problems, errTooMany(n.certificate))
			break
		}
		pairs[n.id()] = p
		f.TLS.Pairs = append(f.TLS.Pairs, p.Pair)
		f.Certificates = append(f.Certificates, p.told)
	}
	k.pairs = pairs
	cas, err := k.authorities()
	if err != nil {
		problems = append(problems, err)
	} else {
		if string(cas) != string(k.cas) {
			k.tickets = nil
		}
		k.cas = cas
	}
	for _, domain := range k.want.ACME.Domains {
		if !exists(link.LivePath(k.acme, domain)) {
			f.Awaited += ", " + domain
		}
	}
	f.TLS.ClientCAs = k.cas
	f.TLS.Tickets = k.keys()
	if err := errors.Join(problems...); err != nil {
		f.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return f
}

// keys are the keys of session tickets, with a new one where it is time. The lock is
// held.
func (k *Keeper) keys() [][]byte {
	if len(k.tickets) == 0 || time.Since(k.rotated) >= rotateEvery {
		key := make([]byte, 32)
		rand.Read(key)
		k.rotated = time.Now()
		k.tickets = append([][]byte{key}, k.tickets[:min(len(k.tickets), keepTickets-1)]...)
	}
	return slices.Clone(k.tickets)
}

// names are the files of the pairs: those that are set, else those of the credentials,
// NAME.crt with NAME.key; and what has come by ACME.
func (k *Keeper) names() (all []name) {
	for i, c := range k.want.Certificates {
		all = append(all, name{certificate: k.path(c), key: k.path(k.want.Keys[i])})
	}
	if len(all) == 0 && k.credentials != "" {
		for _, c := range list(k.credentials) {
			if base, ok := strings.CutSuffix(c, ".crt"); ok && slices.Contains(list(k.credentials), base+".key") {
				all = append(all, name{certificate: k.path(c), key: k.path(base + ".key")})
			}
		}
	}
	for _, domain := range k.want.ACME.Domains {
		if file := link.LivePath(k.acme, domain); exists(file) {
			all = append(all, name{file, file, true})
		}
	}
	return all
}

// told is what operators are told of a certificate.
func told(file string, leaf *x509.Certificate) api.Certificate {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{cmp.Or(leaf.Subject.CommonName, leaf.Subject.String())}
	}
	sum := sha256.Sum256(leaf.Raw)
	return api.Certificate{File: file, Names: names, NotAfter: leaf.NotAfter, SHA256: hex.EncodeToString(sum[:])}
}
