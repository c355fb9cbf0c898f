package sd

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// answer is what an activated child found.
type answer struct {
	Names, Addresses, Env []string
	Err                   string
}

// activated is the child's role: it answers, then greets one client of each
// listener.
func activated() {
	var a answer
	files, addresses, err := Listeners()
	if err != nil {
		a.Err = err.Error()
	}
	for _, f := range files {
		a.Names = append(a.Names, f.Name())
	}
	a.Addresses = addresses
	for _, kv := range os.Environ() {
		if strings.HasPrefix(kv, "LISTEN_") {
			a.Env = append(a.Env, kv)
		}
	}
	json.NewEncoder(os.Stdout).Encode(a)
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			panic(err)
		}
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, "hello from "+f.Name())
		c.Close()
	}
}

// activate runs the child as systemd would.
func activate(t *testing.T, files []*os.File, env ...string) (answer, func()) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `[ -n "$LISTEN_PID" ] || export LISTEN_PID=$$; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), append([]string{"SD_TEST_ROLE=activated", noRaceSleep}, env...)...)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.NewDecoder(out).Decode(&a); err != nil {
		t.Errorf("read the child's answer: %v", err)
	}
	return a, func() {
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	}
}

// file is the socket of a listener or a connection.
func file(t *testing.T, s any, err error) *os.File {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); s.(io.Closer).Close() })
	return f
}

func TestListeners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	abstract := "@plugserver-test-" + filepath.Base(filepath.Dir(path)) + filepath.Base(filepath.Dir(filepath.Dir(path)))
	var files []*os.File
	var dial [][2]string
	var want []string
	for _, a := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp6", "[::1]:0"}, {"tcp", ":0"}, {"unix", path}, {"unix", abstract}} {
		l, err := net.Listen(a[0], a[1])
		if a[0] == "tcp6" && err != nil {
			t.Logf("without IPv6: %v", err)
			continue
		}
		files = append(files, file(t, l, err))
		address := l.Addr().String()
		dial = append(dial, [2]string{l.Addr().Network(), address})
		if a[0] == "unix" {
			address = "unix:" + address
		}
		want = append(want, address)
	}
	names := []string{"http", "six", "any", "https", "abstract"}[:len(files)]
	for i, name := range names {
		if name == "https" {
			want[i] = "tls:" + want[i]
		}
	}
	a, wait := activate(t, files, "LISTEN_FDS="+string(rune('0'+len(files))),
		"LISTEN_FDNAMES="+strings.Join(names, ":"), "LISTEN_PIDFDID=1")
	if a.Err != "" || !slices.Equal(a.Addresses, want) || !slices.Equal(a.Names, names) {
		t.Errorf("got %+v, want %q named %q", a, want, names)
	}
	if len(a.Env) > 0 {
		t.Errorf("a child would see %q", a.Env)
	}
	for i, d := range dial {
		c, err := net.Dial(d[0], d[1])
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		c.Close()
		if want := "hello from " + names[i]; string(got) != want || err != nil {
			t.Errorf("%s answers %q, %v, want %q", d[1], got, err, want)
		}
	}
	wait()
}

func TestListenersRefuses(t *testing.T) {
	stream := func(t *testing.T) *os.File {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		return file(t, l, err)
	}
	raw := func(t *testing.T, family, kind int) *os.File {
		fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		f := os.NewFile(uintptr(fd), "raw")
		t.Cleanup(func() { f.Close() })
		return f
	}
	for _, tt := range []struct {
		name string
		file func(t *testing.T) *os.File
		want string
	}{
		{"udp", func(t *testing.T) *os.File {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			return file(t, c, err)
		}, "it is a datagram socket"},
		{"unixgram", func(t *testing.T) *os.File { return raw(t, unix.AF_UNIX, unix.SOCK_DGRAM) }, "it is a datagram socket"},
		{"seqpacket", func(t *testing.T) *os.File { return raw(t, unix.AF_UNIX, unix.SOCK_SEQPACKET) }, "not a stream"},
		{"silent", func(t *testing.T) *os.File { return raw(t, unix.AF_INET, unix.SOCK_STREAM) }, "it does not listen"},
		{"vsock", func(t *testing.T) *os.File { return raw(t, unix.AF_VSOCK, unix.SOCK_STREAM) }, "address family 40 is not served"},
		{"file", func(t *testing.T) *os.File {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f
		}, "it is no socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, wait := activate(t, []*os.File{stream(t), tt.file(t)}, "LISTEN_FDS=2", "LISTEN_FDNAMES=http:"+tt.name)
			wait()
			if !strings.HasPrefix(a.Err, `take socket "`+tt.name+`" from systemd: `) || !strings.Contains(a.Err, tt.want) {
				t.Errorf("error is %q, want %q in it", a.Err, tt.want)
			}
			if a.Addresses != nil || a.Names != nil || a.Env != nil {
				t.Errorf("got %+v beside the error", a)
			}
		})
	}
}

func TestListenersNotActivated(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f := file(t, l, err)
	for _, env := range [][]string{
		{"LISTEN_PID=1", "LISTEN_FDS=1"}, // meant for another process
		{"LISTEN_FDS=0"},
		{"LISTEN_FDS=x"},
		{},
	} {
		a, wait := activate(t, []*os.File{f}, env...)
		wait()
		if a.Names != nil || a.Addresses != nil || a.Err != "" || a.Env != nil {
			t.Errorf("with %q: %+v, want nothing", env, a)
		}
	}
}
