package proxied

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, haproxy's proxy-protocol.txt: a header in front of a connection's
// bytes says between which addresses it was before a proxy. It is read here, for what a
// gate links is the standard library alone; the tests have go-proxyproto beside it.

// Most is how long a header may be, in bytes: what its fields tell beyond the addresses is
// not used.
const Most = 4 << 10

const mostV1 = 107

var (
	signature = []byte("\r\n\r\n\x00\r\nQUIT\n")
	wordV1    = []byte("PROXY ")
)

var errHeader = errors.New("no header of the PROXY protocol")

// Parse reads the header at the beginning of b. n is its length, 0 where more has to come.
// The addresses are nil where the proxy speaks for itself, or does not know them.
func Parse(b []byte) (n int, remote, local net.Addr, err error) {
	switch {
	case bytes.HasPrefix(b, signature):
		return parseV2(b)
	case bytes.HasPrefix(b, wordV1):
		return parseV1(b)
	case bytes.HasPrefix(signature, b), bytes.HasPrefix(wordV1, b):
		return 0, nil, nil, nil
	}
	return 0, nil, nil, errHeader
}

func parseV1(b []byte) (n int, remote, local net.Addr, err error) {
	end := bytes.IndexByte(b[:min(len(b), mostV1)], '\n')
	if end < 0 {
		if len(b) >= mostV1 {
			return 0, nil, nil, errHeader
		}
		return 0, nil, nil, nil
	}
	line, ok := strings.CutSuffix(string(b[:end]), "\r")
	words := strings.Split(line, " ")
	if ok && len(words) > 1 && words[1] == "UNKNOWN" {
		return end + 1, nil, nil, nil
	}
	if !ok || len(words) != 6 {
		return 0, nil, nil, errHeader
	}
	from, ok1 := addrV1(words[1], words[2], words[4])
	to, ok2 := addrV1(words[1], words[3], words[5])
	if !ok1 || !ok2 {
		return 0, nil, nil, errHeader
	}
	return end + 1, from, to, nil
}

func addrV1(family, host, port string) (net.Addr, bool) {
	a, err := netip.ParseAddr(host)
	p, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || a.Zone() != "" || strconv.FormatUint(p, 10) != port {
		return nil, false
	}
	if family != "TCP6" && (family != "TCP4" || !a.Is4()) || family == "TCP6" && a.Is4() {
		return nil, false
	}
	return tcp(a, uint16(p)), true
}

func tcp(a netip.Addr, port uint16) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.Unmap(), port))
}

const (
	headV2             = 16
	localV2, proxyV2   = 0x20, 0x21
	lengthV4, lengthV6 = 12, 36
	lengthUnix         = 216
)

func parseV2(b []byte) (n int, remote, local net.Addr, err error) {
	if len(b) < headV2 {
		return 0, nil, nil, nil
	}
	command, family := b[12], b[13]
	size := int(binary.BigEndian.Uint16(b[14:]))
	if command != localV2 && command != proxyV2 || headV2+size > Most {
		return 0, nil, nil, errHeader
	}
	if len(b) < headV2+size {
		return 0, nil, nil, nil
	}
	n, b = headV2+size, b[headV2:headV2+size]
	if command == localV2 {
		return n, nil, nil, nil
	}
	var width, least int
	switch family {
	case 0x00: // not known
	case 0x11: // TCP over IPv4
		width, least = 4, lengthV4
	case 0x12: // datagrams
		least = lengthV4
	case 0x21:
		width, least = 16, lengthV6
	case 0x22:
		least = lengthV6
	case 0x31, 0x32: // Unix sockets
		least = lengthUnix
	default:
		return 0, nil, nil, errHeader
	}
	if size < least {
		return 0, nil, nil, errHeader
	}
	if width == 0 {
		return n, nil, nil, nil
	}
	from, _ := netip.AddrFromSlice(b[:width])
	to, _ := netip.AddrFromSlice(b[width : 2*width])
	return n, tcp(from, binary.BigEndian.Uint16(b[2*width:])), tcp(to, binary.BigEndian.Uint16(b[2*width+2:])), nil
}
