// Package proxied is who a client is behind proxies: what those say of it that are trusted,
// in a request's head, or by the PROXY protocol in front of a connection.
package proxied

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Header is the field by which trusted proxies tell. One alone is believed: clients can send
// the other through a proxy that does not know it.
type Header string

const (
	XForwardedFor Header = "x-forwarded-for"
	Forwarded     Header = "forwarded" // RFC 7239
)

// Unix stands for whoever comes by a Unix socket, where networks are named.
const Unix = "unix"

// Trusted are the proxies that are believed. A nil one believes nobody.
type Trusted struct {
	networks []netip.Prefix
	unix     bool
	header   Header
}

// Trust returns those in the networks, each an address, a CIDR or Unix; nil where there are none.
func Trust(networks []string, header Header) (*Trusted, error) {
	if len(networks) == 0 {
		return nil, nil
	}
	t := &Trusted{header: header}
	for _, text := range networks {
		if text == Unix {
			t.unix = true
			continue
		}
		p, err := netip.ParsePrefix(text)
		if a, errAddr := netip.ParseAddr(text); err != nil && errAddr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%.60q is no network; write one such as 10.0.0.0/8, 192.0.2.1 or 2001:db8::/32, or unix", text)
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		t.networks = append(t.networks, p.Masked())
	}
	return t, nil
}

func (t *Trusted) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range t.networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Proxy reports whether remote, an http.Request's RemoteAddr, is one that is believed.
func (t *Trusted) Proxy(remote string) bool {
	if t == nil {
		return false
	}
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return t.unix // there is no other
	}
	return t.has(ap.Addr())
}

// Client is r's RemoteAddr: that of the last who was no trusted proxy, as those say that are.
// Where its port is not known it is 0.
func (t *Trusted) Client(r *http.Request) string {
	if t == nil || !t.Proxy(r.RemoteAddr) {
		return r.RemoteAddr
	}
	remote := r.RemoteAddr
	chain := t.chain(r.Header)
	for i := len(chain) - 1; i >= 0; i-- {
		ap, ok := node(chain[i])
		if !ok {
			break // whoever says so is not to be known
		}
		remote = ap.String()
		if !t.has(ap.Addr()) {
			break
		}
	}
	return remote
}

// chain is who the proxies say they had the request from, the nearest last.
func (t *Trusted) chain(h http.Header) (all []string) {
	if t.header == XForwardedFor {
		for _, field := range h["X-Forwarded-For"] {
			all = append(all, strings.Split(field, ",")...)
		}
		return all
	}
	for _, field := range h["Forwarded"] {
		for _, element := range split(field, ',') {
			from := ""
			for _, pair := range split(element, ';') {
				name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				if strings.EqualFold(name, "for") {
					from = strings.Trim(value, `"`)
				}
			}
			all = append(all, from)
		}
	}
	return all
}

// split splits at what stands in no quotes.
func split(s string, at byte) (parts []string) {
	quoted, begin := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == at && !quoted:
			parts = append(parts, s[begin:i])
			begin = i + 1
		}
	}
	return append(parts, s[begin:])
}

// node reads an address, with a port or without.
func node(s string) (netip.AddrPort, bool) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
	}
	// RFC 7239 has names in the place of a port.
	if host, _, err := net.SplitHostPort(s); err == nil {
		if a, err := netip.ParseAddr(host); err == nil {
			return netip.AddrPortFrom(a.Unmap(), 0), true
		}
	}
	return netip.AddrPort{}, false
}

// Secure reports whether a trusted proxy says that r came to it over TLS.
func (t *Trusted) Secure(r *http.Request) bool {
	if !t.Proxy(r.RemoteAddr) {
		return false
	}
	if t.header == XForwardedFor {
		proto := r.Header["X-Forwarded-Proto"]
		return len(proto) == 1 && strings.EqualFold(proto[0], "https")
	}
	fields := r.Header["Forwarded"]
	if len(fields) == 0 {
		return false
	}
	elements := split(fields[len(fields)-1], ',')
	for _, pair := range split(elements[len(elements)-1], ';') {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "proto") {
			return strings.EqualFold(strings.Trim(value, `"`), "https")
		}
	}
	return false
}
