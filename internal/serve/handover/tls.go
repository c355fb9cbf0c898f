package handover

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"unsafe"

	"github.com/andrestc/go-plugserver/internal/serve/tls13"
	"github.com/andrestc/go-plugserver/internal/serve/tlskeys"
)

// A connection that came over TLS is told from others by the state of its handshake,
// which travels with it, encoded. It is sealed where its records are opened and sealed by
// who has it: what that takes travels, too (package tls13). Else it is, in every process but
// that of the handshake, one end of a Unix socket pair, over which plain bytes pass.

// Take makes a connection s's own that others have accepted: fd, which is s's from then
// on, is the end of a stream of plain bytes in non-blocking mode, and state tells of the
// TLS below it. Where hsts is not "", answers begin with it as their
// Strict-Transport-Security.
func (s *Server) Take(fd int, remote, local net.Addr, state *tls.ConnectionState, hsts string) {
	s.adopt(&socket{fd: fd, remote: remote, local: local}, state, hsts)
}

// TakeSealed is Take for the client's own socket, whose records are by keys.
func (s *Server) TakeSealed(fd int, remote, local net.Addr, state *tls.ConnectionState, hsts string, keys *tlskeys.Keys) {
	k := &socket{fd: fd, remote: remote, local: local}
	nc, err := newSealed(k, remote, local, state, tls13.Begin(keys))
	if err != nil {
		s.http.ErrorLog.Printf("TLS connection of %v: %v", remote, err)
		k.Close()
		return
	}
	s.adopt(nc, state, hsts)
}

func (s *Server) adopt(nc net.Conn, state *tls.ConnectionState, hsts string) {
	c, text := s.newConn(nc, nc.RemoteAddr(), nc.LocalAddr()), encodeState(state, hsts)
	if len(text) > maxState {
		s.http.ErrorLog.Printf("TLS connection of %v: its certificates have %d bytes, and at most %d are taken", c.remote, len(text), maxState)
		c.endNow()
		c.drop()
		return
	}
	c.tls, c.state, c.unasked = text, state, true
	s.own(c)
	go s.serve(c)
}

// maxState bounds an encoded state, in bytes: it has to fit into maxHeadOfMessage, and
// goes with each forwarded request. crypto/tls takes certificates of 256 KiB.
const maxState = 48 << 10

// Beside notes that n more of this process's descriptors, fewer where n is below 0,
// serve connections without being one: those that a handshake or a relay needs.
func (s *Server) Beside(n int) { s.beside.Add(int64(n)) }

// told is a connection whose addresses were told: its socket is one end of a pair, or sealed.
// It does not give access to that.
type told struct {
	net.Conn
	remote, local net.Addr
}

// secured is a TLS connection as a handler gets it that hijacks its request. As *tls.Conn
// it does not give access to its socket: what passes there is sealed, or the socket is not
// the client's.
type secured struct {
	told               // of a *net.UnixConn, or of sealed
	sealed *tls13.Conn // nil where plain bytes pass
	state  *tls.ConnectionState
}

// below returns the socket of what a handler gets, or what is sealed.
func below(nc net.Conn) net.Conn {
	switch c := nc.(type) {
	case *secured:
		return c.Conn
	case *told:
		return c.Conn
	}
	return nc
}

func newSealed(t tls13.Transport, remote, local net.Addr, state *tls.ConnectionState, keys *tls13.State) (*secured, error) {
	sealed, err := tls13.New(t, keys)
	if err != nil {
		return nil, err
	}
	return &secured{told{sealed, remote, local}, sealed, state}, nil
}

// LocalAddr implements net.Conn; it is the address that the client has dialed.
func (s *told) LocalAddr() net.Addr { return s.local }

// RemoteAddr implements net.Conn; it is the client's.
func (s *told) RemoteAddr() net.Addr { return s.remote }

// CloseWrite tells the client that nothing follows (close_notify), as tls.Conn's.
func (s *told) CloseWrite() error {
	return s.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// tryWrite is what a process asks of it that accepts: there it is sealed.
func (s *secured) tryWrite(p []byte) (int, error) { return s.sealed.TryWrite(p) }

// ConnectionState is tls.Conn's.
func (s *secured) ConnectionState() tls.ConnectionState { return *s.state }

// tlsState returns what handlers see as a request's TLS, nil for a clear connection.
func (c *Conn) tlsState() *tls.ConnectionState {
	if c.state == nil && c.tls != "" {
		c.state, _ = decodeState(c.tls) // whoever took the connection has tried
	}
	return c.state
}

// stateOf returns the state of an encoded one, nil for none; most often it is as the
// last.
func (p *Peer) stateOf(text string) (*tls.ConnectionState, error) {
	if text == "" {
		return nil, nil
	}
	p.mu.Lock()
	last, is := p.state, p.stateText == text
	p.mu.Unlock()
	if !is {
		state, err := decodeState(text)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.state, p.stateText = state, text
		p.mu.Unlock()
		last = state
	}
	own := *last // handlers may change theirs
	return &own, nil
}

const (
	stateComplete = 1 << iota
	stateResumed
	stateMutual
	stateRetried
	stateECH
)

// Fields that not every release of Go has, and one that is deprecated: handlers may
// look at it all the same.
const (
	fieldMutual  = "NegotiatedProtocolIsMutual"
	fieldCurve   = "CurveID"
	fieldRetried = "HelloRetryRequest"
)

// hstsOf is the Strict-Transport-Security of an encoded state, "" for none.
func hstsOf(text string) string { return (&stateReader{rest: text}).text() }

// demand has an answer of a connection with that encoded state demand HTTPS from now on.
// The handler can change it.
func demand(w http.ResponseWriter, text string) {
	if text == "" {
		return // w.Header may make one
	}
	if hsts := hstsOf(text); hsts != "" {
		w.Header()["Strict-Transport-Security"] = []string{hsts}
	}
}

// encodeState encodes s behind its Strict-Transport-Security. Each certificate is in it
// once; the chains name them by their place.
func encodeState(s *tls.ConnectionState, hsts string) string {
	v := reflect.ValueOf(s).Elem()
	curve, retried, mutual := v.FieldByName(fieldCurve), v.FieldByName(fieldRetried), v.FieldByName(fieldMutual)
	var flags byte
	for i, set := range [...]bool{s.HandshakeComplete, s.DidResume, mutual.Bool(), retried.IsValid() && retried.Bool(), s.ECHAccepted} {
		if set {
			flags |= 1 << i
		}
	}
	b := append(appendText(nil, hsts), flags)
	b = binary.AppendUvarint(b, uint64(s.Version))
	b = binary.AppendUvarint(b, uint64(s.CipherSuite))
	id := uint64(0)
	if curve.IsValid() {
		id = curve.Uint()
	}
	b = binary.AppendUvarint(b, id)
	b = appendText(b, s.ServerName)
	b = appendText(b, s.NegotiatedProtocol)
	b = appendText(b, s.TLSUnique)
	b = appendText(b, s.OCSPResponse)
	b = binary.AppendUvarint(b, uint64(len(s.SignedCertificateTimestamps)))
	for _, t := range s.SignedCertificateTimestamps {
		b = appendText(b, t)
	}
	return string(appendCertificates(b, s))
}

func appendCertificates(b []byte, s *tls.ConnectionState) []byte {
	at := make(map[string]uint64)
	var all []string
	place := func(c *x509.Certificate) uint64 {
		n, ok := at[string(c.Raw)]
		if !ok {
			n = uint64(len(all))
			at[string(c.Raw)], all = n, append(all, string(c.Raw))
		}
		return n
	}
	var lists []byte
	for _, chain := range append([][]*x509.Certificate{s.PeerCertificates}, s.VerifiedChains...) {
		lists = binary.AppendUvarint(lists, uint64(len(chain)))
		for _, c := range chain {
			lists = binary.AppendUvarint(lists, place(c))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, der := range all {
		b = appendText(b, der)
	}
	b = binary.AppendUvarint(b, uint64(len(s.VerifiedChains)))
	return append(b, lists...)
}

// decodeState decodes what encodeState has made. It refuses a certificate that this
// release of Go cannot read: a handler is not to take its client for one without.
func decodeState(text string) (*tls.ConnectionState, error) {
	r := &stateReader{rest: text}
	r.text() // hstsOf's
	flags := r.byte()
	s := &tls.ConnectionState{
		HandshakeComplete: flags&stateComplete != 0,
		DidResume:         flags&stateResumed != 0,
		ECHAccepted:       flags&stateECH != 0,
		Version:           uint16(r.number()),
		CipherSuite:       uint16(r.number()),
	}
	v := reflect.ValueOf(s).Elem()
	v.FieldByName(fieldMutual).SetBool(flags&stateMutual != 0)
	if curve, id := v.FieldByName(fieldCurve), r.number(); curve.IsValid() {
		curve.SetUint(id)
	}
	if retried := v.FieldByName(fieldRetried); retried.IsValid() {
		retried.SetBool(flags&stateRetried != 0)
	}
	s.ServerName, s.NegotiatedProtocol = r.text(), r.text()
	s.TLSUnique, s.OCSPResponse = r.bytes(), r.bytes()
	for n := r.count(); n > 0; n-- {
		s.SignedCertificateTimestamps = append(s.SignedCertificateTimestamps, r.bytes())
	}
	r.certificates(s)
	if r.err == nil && r.rest != "" {
		r.err = errMessage
	}
	if r.err != nil {
		return nil, r.err
	}
	noKeyingMaterial(s)
	return s, nil
}

// stateReader takes an encoded state apart. After an error all it reads is zero.
type stateReader struct {
	rest string
	err  error
}

func (r *stateReader) fail() { r.rest, r.err = "", errMessage }

func (r *stateReader) byte() (b byte) {
	if r.rest == "" {
		r.fail()
		return 0
	}
	b, r.rest = r.rest[0], r.rest[1:]
	return b
}

func (r *stateReader) number() (x uint64) {
	for shift := uint(0); shift < 64; shift += 7 {
		b := r.byte()
		x |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return x
		}
	}
	r.fail()
	return 0
}

// count is a number of things that each have a byte at least.
func (r *stateReader) count() int {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *stateReader) text() (s string) {
	n := r.count()
	s, r.rest = r.rest[:n], r.rest[n:]
	return s
}

func (r *stateReader) bytes() []byte {
	if s := r.text(); s != "" {
		return []byte(s)
	}
	return nil
}

func (r *stateReader) certificates(s *tls.ConnectionState) {
	var all []*x509.Certificate
	for n := r.count(); n > 0; n-- {
		c, err := x509.ParseCertificate([]byte(r.text()))
		if err != nil && r.err == nil {
			r.rest, r.err = "", fmt.Errorf("%w: certificate of the client: %w", errMessage, err)
		}
		all = append(all, c)
	}
	chains := r.count()
	for i := range chains + 1 {
		var chain []*x509.Certificate
		for n := r.count(); n > 0; n-- {
			at := r.number()
			if at >= uint64(len(all)) {
				r.fail()
				return
			}
			chain = append(chain, all[at])
		}
		if i == 0 {
			s.PeerCertificates = chain
		} else {
			s.VerifiedChains = append(s.VerifiedChains, chain)
		}
	}
}

var errKeyingMaterial = errors.New("plugserver: the secret that keying material is exported from is not told behind the handshake")

// noKeyingMaterial has s.ExportKeyingMaterial return an error: without a function of
// crypto/tls's it would panic. Where the field is not what it was nothing is done.
func noKeyingMaterial(s *tls.ConnectionState) {
	type export = func(string, []byte, int) ([]byte, error)
	f := reflect.ValueOf(s).Elem().FieldByName("ekm")
	if f.IsValid() && f.Type() == reflect.TypeFor[export]() {
		*(*export)(unsafe.Pointer(f.UnsafeAddr())) = func(string, []byte, int) ([]byte, error) { return nil, errKeyingMaterial }
	}
}
