package signature

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aead.dev/minisign"
)

// Secret is a private key.
type Secret struct{ key minisign.PrivateKey }

// IsEncrypted reports whether a private key's file takes a password.
func IsEncrypted(text []byte) bool { return minisign.IsEncrypted(text) }

// ParseSecret reads a private key's file. It takes a second and a gigabyte where that is
// encrypted, which guessing then does, too.
func ParseSecret(text []byte, password string) (s Secret, err error) {
	if !IsEncrypted(text) {
		err = s.key.UnmarshalText([]byte(strings.TrimSpace(string(text))))
		return s, err
	}
	if s.key, err = minisign.DecryptKey(password, []byte(strings.TrimSpace(string(text)))); err != nil {
		return s, errors.New("the password is not the key's, or the key is damaged")
	}
	return s, nil
}

// Public is its public key.
func (s Secret) Public() Key { return Key{s.key.Public().(minisign.PublicKey)} }

// Comment is the trusted comment that says what said does. file is for people.
func Comment(said Signed, file string) string {
	words := []string{"timestamp:" + strconv.FormatInt(said.Time, 10)}
	for _, w := range []struct{ name, value string }{{"file", strings.Join(strings.Fields(file), "_")}, {"handler", said.Handler}, {"version", said.Version}} {
		if w.value != "" {
			words = append(words, w.name+":"+w.value)
		}
	}
	return strings.Join(append(words, "hashed"), "\t")
}

// Sign signs content with a trusted comment, of one line.
func (s Secret) Sign(content io.Reader, comment string) (text []byte, err error) {
	if strings.ContainsAny(comment, "\r\n") {
		return nil, errors.New("a comment has one line")
	}
	r := minisign.NewReader(content)
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		return nil, fmt.Errorf("read what is to be signed: %w", err)
	}
	return r.SignWithComments(s.key, comment, "signature from private key "+s.Public().ID()), nil
}
