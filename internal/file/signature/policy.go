package signature

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

// Key is a public key.
type Key struct{ key minisign.PublicKey }

// ParseKey reads a public key: a line as minisign(1) prints it, or a file of it.
func ParseKey(text string) (k Key, err error) {
	err = k.key.UnmarshalText([]byte(strings.TrimSpace(text)))
	return k, err
}

// ID is the key's, as minisign(1) shows it, which leaves out the zeros before it. Whoever makes a key chooses it: it tells keys
// apart, and proves nothing.
func (k Key) ID() string { return keyID(k.key.ID()) }

// String is the key in one line.
func (k Key) String() string { return k.key.String() }

func keyID(id uint64) string { return fmt.Sprintf("%016X", id) }

// ParseID reads a key's ID. All digits have to be there: one of fewer may be a slip, and would revoke another key.
func ParseID(s string) (string, error) {
	s = strings.ToUpper(s)
	if len(s) != 16 || strings.Trim(s, "0123456789ABCDEF") != "" {
		return "", errors.New("not the ID of a key: it has 16 hex digits")
	}
	return s, nil
}

// Policy says whose signatures are believed. It is never changed. The zero Policy asks for none,
// and looks at none.
type Policy struct {
	Keys    []Key
	Revoked []string // IDs: what these have signed is refused, be they in Keys too
	Require bool     // what is not signed is refused
	// Monotonic has an older version refused than was served before.
	Monotonic bool
}

// On reports whether signatures are looked at.
func (p Policy) On() bool { return p.Require || len(p.Keys)+len(p.Revoked) > 0 }

// Equal reports whether both decide the same.
func (p Policy) Equal(o Policy) bool {
	return p.Require == o.Require && p.Monotonic == o.Monotonic && slices.Equal(p.Revoked, o.Revoked) &&
		slices.EqualFunc(p.Keys, o.Keys, func(a, b Key) bool { return a.key.Equal(b.key) })
}

// signers are the keys of which one may have signed so, and what the signature says; none where it is not looked at.
// The error is a *refusal.Error.
func (p Policy) signers(text string) (all []Key, said Signed, err error) {
	switch {
	case text == "" && p.Require:
		return nil, said, badfile.Unsigned()
	case text == "" || !p.On():
		return nil, said, nil
	}
	if said, err = Parse(text); err != nil {
		return nil, said, err
	}
	if slices.Contains(p.Revoked, said.Key) {
		return nil, said, badfile.RevokedKey(said.Key)
	}
	for _, k := range p.Keys {
		if k.ID() == said.Key {
			all = append(all, k)
		}
	}
	if all == nil {
		return nil, said, badfile.ForeignKey(said.Key)
	}
	return all, said, nil
}

// Vouches says why a version that was signed so, "" if not at all, would not be believed any more, whatever it
// is; nil if it would. It is Check without the file.
func (p Policy) Vouches(text string) *refusal.Error {
	if _, _, err := p.signers(text); err != nil {
		return refusal.From(err)
	}
	return nil
}

// Check decides on a handler's file by its signature, "" where it has none: that is
// believed where signatures are not required. An error is a *refusal.Error, or one of reading content.
func (p Policy) Check(handler string, content io.Reader, text string) (said Signed, err error) {
	signers, said, err := p.signers(text)
	if err != nil || signers == nil {
		return said, err
	}
	r := minisign.NewReader(content)
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		return said, fmt.Errorf("read what was signed: %w", err)
	}
	switch {
	case !slices.ContainsFunc(signers, func(k Key) bool { return r.Verify(k.key, []byte(text)) }):
		return said, badfile.Altered(said.Key)
	case said.Handler != "" && said.Handler != handler:
		return said, badfile.OtherHandler(said.Handler, handler)
	}
	return said, nil
}

// Order decides whether what is said is not older than the newest that was served of the
// handler, zero where none was. The error is a *refusal.Error.
func (p Policy) Order(said, newest Signed) error {
	switch {
	case !p.Monotonic:
		return nil
	case said.Handler == "" || !said.Ordered():
		return badfile.Unordered()
	case Compare(said, newest) < 0:
		return badfile.Replayed(said.String(), newest.String())
	}
	return nil
}
