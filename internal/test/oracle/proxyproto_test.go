package oracle

import (
	"bufio"
	"bytes"
	"net"
	"testing"

	"github.com/andrestc/go-plugserver/internal/serve/proxied"
	"github.com/pires/go-proxyproto"
)

// library is what go-proxyproto makes of b.
func library(b []byte) (n int, remote, local net.Addr, err error) {
	r := bufio.NewReaderSize(bytes.NewReader(b), 1<<17)
	h, err := proxyproto.Read(r)
	if err != nil {
		return 0, nil, nil, err
	}
	n = len(b) - r.Buffered()
	if h.Command.IsProxy() && h.TransportProtocol.IsStream() && (h.TransportProtocol.IsIPv4() || h.TransportProtocol.IsIPv6()) {
		remote, local = h.SourceAddr, h.DestinationAddr
	}
	return n, remote, local, nil
}

func text(a net.Addr) string {
	if a == nil {
		return "nobody"
	}
	return a.String()
}

func header(version byte, from, to string) []byte {
	f, _ := net.ResolveTCPAddr("tcp", from)
	t, _ := net.ResolveTCPAddr("tcp", to)
	b, err := proxyproto.HeaderProxyFromAddrs(version, f, t).Format()
	if err != nil {
		panic(err)
	}
	return b
}

var seeds = [][]byte{
	header(1, "1.2.3.4:5", "6.7.8.9:10"), header(1, "[2001:db8::1]:5", "[2001:db8::2]:443"),
	header(2, "1.2.3.4:5", "6.7.8.9:10"), header(2, "[2001:db8::1]:5", "[2001:db8::2]:443"),
	[]byte("PROXY UNKNOWN\r\n"), []byte("PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n"),
	[]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"), []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x03abc"),
	[]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x01\xbb"),
	[]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f\x01\x02\x03\x04\x05\x06\x07\x08\x00\x50\x01\xbb\x04\x00\x00"),
	[]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x02\x01\x02"),
}

// Each header is read as go-proxyproto reads it, whatever follows, and however little of it has
// come.
func TestProxyProtocol(t *testing.T) {
	for _, b := range seeds {
		full := append(bytes.Clone(b), "GET / HTTP/1.1\r\n"...)
		want, remote, local, bad := library(full)
		for i := range full {
			n, r, l, err := proxied.Parse(full[:i])
			switch {
			case bad != nil:
				if n != 0 {
					t.Errorf("%q: taken, but for %v", b, bad)
				}
			case i < want:
				if n != 0 || err != nil {
					t.Errorf("%q: %d, %v, after %d bytes", b, n, err, i)
				}
			case n != want || err != nil || text(r) != text(remote) || text(l) != text(local):
				t.Errorf("%q: %d, %v %v, %v; want %d, %v %v", b, n, r, l, err, want, remote, local)
			}
		}
	}
}

// What is taken, go-proxyproto takes for the same.
func FuzzProxyProtocol(f *testing.F) {
	for _, b := range seeds {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, remote, local, err := proxied.Parse(b)
		if n == 0 || err != nil {
			return
		}
		if b[0] == '\r' && (b[12] == 0x20 || b[13] == 0) {
			return // LOCAL, AF_UNSPEC: the protocol has receivers ignore what is said
		}
		want, r, l, err := library(b)
		if err != nil || n != want || text(r) != text(remote) || text(l) != text(local) {
			t.Errorf("%q: %d, %v %v; go-proxyproto says %d, %v %v, %v", b, n, remote, local, want, r, l, err)
		}
	})
}
