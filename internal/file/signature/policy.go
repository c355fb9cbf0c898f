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

// Vouches says why a version that was signed so, "" if not at all, would not be believed any more, whatever it
// is; nil if it would. It is Check without the file.
func (p Policy) Vouches(text string) *refusal.Error {
	switch {
	case text == "" && p.Require:
		return badfile.Unsigned()
	case text == "" || !p.On():
		return nil
	}
	said, err := Parse(text)
	switch {
	case err != nil:
		return refusal.From(err)
	case slices.Contains(p.Revoked, said.Key):
		return badfile.RevokedKey(said.Key)
	case !slices.ContainsFunc(p.Keys, func(k Key) bool { return k.ID() == said.Key }):
		return badfile.ForeignKey(said.Key)
	}
	return nil
}

// Check decides on a handler's file by its signature, "" where it has none: that is
// believed where signatures are not required. An error is a *refusal.Error, or one of reading content.
func (p Policy) Check(handler string, content io.Reader, text string) (said Signed, err error) {
	switch {
	case text == "" && p.Require:
		return said, badfile.Unsigned()
	case text == "" || !p.On():
		return said, nil
	}
	sig, said, err := parse(text)
	if err != nil {
		return said, err
	}
	if slices.Contains(p.Revoked, said.Key) {
		return said, badfile.RevokedKey(said.Key)
	}
	r := minisign.NewReader(content)
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		return said, fmt.Errorf("read what was signed: %w", err)
	}
	known := false
	for _, k := range p.Keys {
		if k.key.ID() != sig.KeyID {
			continue
		}
		if r.Verify(k.key, []byte(text)) {
			if said.Handler != "" && said.Handler != handler {
				return said, badfile.OtherHandler(said.Handler, handler)
			}
			return said, nil
		}
		known = true
	}
	if known {
		return said, badfile.Altered(said.Key)
	}
	return said, badfile.ForeignKey(said.Key)
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
