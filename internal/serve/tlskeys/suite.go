// Package tlskeys has the keys of a TLS 1.3 connection, from the end of a server's handshake on
// (RFC 8446, sections 5 and 7): how they are come by where crypto/tls shakes hands, and the
// opening and sealing of records by them.
package tlskeys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
)

// Suite is a cipher suite. TLS_CHACHA20_POLY1305_SHA256 is none of them: the standard
// library has that cipher for itself alone.
type Suite struct {
	ID   uint16
	Size int // bytes of a secret, and of the hash
	key  int // bytes of a key
	hash func() hash.Hash
}

var suites = [...]Suite{
	{tls.TLS_AES_128_GCM_SHA256, sha256.Size, 16, sha256.New},
	{tls.TLS_AES_256_GCM_SHA384, sha512.Size384, 32, sha512.New384},
}

// SuiteOf returns the cipher suite of that number, nil where it is not known here.
func SuiteOf(id uint16) *Suite {
	for i := range suites {
		if suites[i].ID == id {
			return &suites[i]
		}
	}
	return nil
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446, section 7.1), of not more
// bytes than the hash has: the first block is all.
func (s *Suite) expand(secret []byte, label string, n int) []byte {
	var info [32]byte
	b := binary.BigEndian.AppendUint16(info[:0], uint16(n))
	b = append(b, byte(len("tls13 ")+len(label)))
	b = append(append(b, "tls13 "...), label...)
	b = append(b, 0, 1) // no context; the number of the block
	h := hmac.New(s.hash, secret)
	h.Write(b)
	return h.Sum(nil)[:n]
}

// Half is one direction of a connection.
type Half struct {
	Secret []byte
	Seq    uint64 // of the next record
	aead   cipher.AEAD
	iv     [nonceSize]byte
	nonce  [nonceSize]byte
}

const (
	HeadSize  = 5  // bytes in front of a record
	Overhead  = 17 // bytes of one beyond that, and what it carries: its kind, and the mark of AES-GCM
	nonceSize = 12
)

// KindSealed is what each sealed record is in the clear: data. What it is of is sealed.
const KindSealed = 23

// Ready makes the keys, which are not needed in every process that a connection passes.
func (h *Half) Ready(s *Suite) error {
	if h.aead != nil {
		return nil
	}
	block, err := aes.NewCipher(s.expand(h.Secret, "key", s.key))
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	h.aead = aead
	copy(h.iv[:], s.expand(h.Secret, "iv", nonceSize))
	return nil
}

// number has nonce be the next record's.
func (h *Half) number() []byte {
	h.nonce = h.iv
	for i := range 8 {
		h.nonce[nonceSize-1-i] ^= byte(h.Seq >> (8 * i))
	}
	return h.nonce[:]
}

// Update goes over to the next keys.
func (h *Half) Update(s *Suite) error {
	*h = Half{Secret: s.expand(h.Secret, "traffic upd", s.Size)}
	return h.Ready(s)
}

// Open opens a whole record, and appends to b what it carries, its kind and its padding. It
// may be opened in its own place: b is then record[HeadSize:HeadSize]. h is Ready.
func (h *Half) Open(b, record []byte) ([]byte, error) {
	b, err := h.aead.Open(b, h.number(), record[HeadSize:], record[:HeadSize])
	if err == nil {
		h.Seq++
	}
	return b, err
}

// Seal appends to b the record of that kind that carries p. h is Ready.
func (h *Half) Seal(b []byte, kind byte, p []byte) []byte {
	at, n := len(b), len(p)+Overhead
	b = append(b, KindSealed, 3, 3, byte(n>>8), byte(n))
	b = append(append(b, p...), kind)
	b = h.aead.Seal(b[:at+HeadSize], h.number(), b[at+HeadSize:], b[at:at+HeadSize])
	h.Seq++
	return b
}
