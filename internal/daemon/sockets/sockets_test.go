package sockets

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andrestc/go-plugserver/internal/daemon/certs"
)

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	for range 2 { // the second finds a socket that nobody listens on
		files, names, err := Listen([]string{"127.0.0.1:0", "unix:" + path})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(names[0], "127.0.0.1:") || strings.HasSuffix(names[0], ":0") || names[1] != "unix:"+path {
			t.Errorf("listening on %q", names)
		}
		for _, network := range []string{"tcp", "unix"} {
			c, err := net.Dial(network, map[string]string{"tcp": names[0], "unix": path}[network])
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		if _, _, err := Listen([]string{"unix:" + path}); err == nil {
			t.Error("took a socket over on which somebody listens")
		}
		if _, _, err := Listen([]string{names[0]}); err == nil || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("a port in use: %v", err)
		}
		for _, f := range files {
			f.Close()
		}
	}
}

// An address is for TLS where it says so, and is told so.
func TestListenForTLS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	files, names, err := Listen([]string{"127.0.0.1:0", "tls:127.0.0.1:0", "tls:unix:" + path})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		defer f.Close()
	}
	if !strings.HasPrefix(names[1], "tls:127.0.0.1:") || strings.HasSuffix(names[1], ":0") || names[2] != "tls:unix:"+path {
		t.Errorf("listening on %q", names)
	}
	if got := certs.Places(names); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("of %q are for TLS %v", names, got)
	}
}
