// Package signature decides by whom a handler's file was signed, with minisign's keys and
// signatures, and what the signature says of it: minisign(1) makes and verifies the same.
//
// What is signed is the file's BLAKE2b-512 and the trusted comment. The comment is words
// between spaces or tabs, of which those of the form NAME:VALUE with a name below say
// something, and all others nothing:
//
//	timestamp:UNIXSECONDS  when it was signed; minisign(1) writes it by itself
//	handler:NAME           it is for that handler alone
//	version:NUMBER.NUMBER  which version it is, compared number by number
package signature

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"aead.dev/minisign"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

// Suffix is what the name of a signature's file has behind that of the file it is of.
const Suffix = ".minisig"

// maxText bounds a signature, in bytes: its two comments may have this much between them.
const maxText = 8 << 10

// Signed is what a signature says. Whether it holds, Policy.Check decides.
type Signed struct {
	Key     string // the ID, 16 upper-case hex digits
	Handler string // that it is for; "" is any
	Time    int64  // seconds since the epoch; 0 is not said
	Version string // numbers with dots between them; "" is not said
}

// Ordered reports whether it says anything by which an older one is known.
func (s Signed) Ordered() bool { return s.Time != 0 || s.Version != "" }

// Compare orders two of one handler, the older first: by their versions, of which none is
// the lowest, then by the time.
func Compare(a, b Signed) int {
	return cmp.Or(compareVersions(a.Version, b.Version), cmp.Compare(a.Time, b.Time))
}

// String is how people read its place in the order.
func (s Signed) String() string {
	var all []string
	if s.Version != "" {
		all = append(all, "version "+s.Version)
	}
	if s.Time != 0 {
		all = append(all, "signed on "+time.Unix(s.Time, 0).UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return strings.Join(all, ", ")
}

func compareVersions(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(a), len(b))
	}
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
	})
}

// IsVersion reports whether s can follow "version:".
func IsVersion(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return len(s) <= 100
}

// Parse reads what a signature says, without knowing whether it holds. The error is a
// *refusal.Error.
func Parse(text string) (said Signed, err error) {
	var sig minisign.Signature
	if err := sig.UnmarshalText([]byte(text)); err != nil {
		return said, badfile.NoSignature(strings.TrimPrefix(err.Error(), "minisign: "))
	}
	if sig.Algorithm != minisign.HashEdDSA {
		// It would sign the file itself, which had to be in memory whole; and one of a
		// file of 64 bytes would pass for one of the file that has these as its hash.
		return said, badfile.LegacySignature()
	}
	said.Key = keyID(sig.KeyID)
	for word := range strings.FieldsSeq(sig.TrustedComment) {
		name, value, _ := strings.Cut(word, ":")
		switch name {
		case "timestamp":
			if said.Time, err = strconv.ParseInt(value, 10, 64); err != nil || said.Time <= 0 {
				return Signed{}, badfile.NoSignature("its trusted comment has " + word)
			}
		case "handler":
			said.Handler = value
		case "version":
			if said.Version = value; !IsVersion(value) {
				return Signed{}, badfile.NoSignature("its trusted comment has " + word)
			}
		}
	}
	return said, nil
}

// ErrNone says that there is no signature.
var ErrNone = errors.New("there is no signature")

// Read reads the signature of the file at path, and says when it was touched last. The
// error wraps ErrNone where there is none.
func Read(path string) (text string, touched time.Time, err error) {
	// O_NONBLOCK, so that a FIFO of that name cannot block the open.
	f, err := os.OpenFile(path+Suffix, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "", touched, fmt.Errorf("%w: %w", ErrNone, err)
	}
	if err != nil {
		return "", touched, fmt.Errorf("read signature: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", touched, fmt.Errorf("read signature: %w", err)
	}
	touched = time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
	if !info.Mode().IsRegular() {
		return "", touched, badfile.NoSignature("not a regular file")
	}
	all, err := io.ReadAll(io.LimitReader(f, maxText+1))
	switch {
	case err != nil:
		return "", touched, fmt.Errorf("read signature: %w", err)
	case len(all) > maxText:
		return "", touched, badfile.NoSignature("longer than any")
	}
	return string(all), touched, nil
}
