package sd

import (
	"io"
	"net"
	"path/filepath"
	"testing"
)

// A stream tells journald first whose it is (systemd's journald-stream.c), then come its lines.
func TestStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := stream(path, "name")
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "a line\n")
	f.Close()
	if got, err := io.ReadAll(c); string(got) != "name\n\n6\n0\n0\n0\n0\na line\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := stream(filepath.Join(t.TempDir(), "none"), "name"); err == nil {
		t.Error("there is none")
	}
}
