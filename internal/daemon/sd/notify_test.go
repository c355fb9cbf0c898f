package sd

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager listens as the service manager does.
func manager(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	t.Setenv("NOTIFY_SOCKET", address)
	return c
}

func receive(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotifier(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "n"), "@plugserver-notify-" + strconv.Itoa(os.Getpid())} {
		c := manager(t, address)
		n := NewNotifier()
		if v, ok := os.LookupEnv("NOTIFY_SOCKET"); ok {
			t.Errorf("a child would see NOTIFY_SOCKET=%s", v)
		}
		for _, tt := range []struct {
			name string
			do   func() error
			want string // the whole message
		}{
			{"ready", func() error { return n.Ready("12 handlers live, 1 refused") }, `READY=1\nSTATUS=12 handlers live, 1 refused`},
			{"ready, status kept", func() error { return n.Ready("") }, `READY=1`},
			{"status", func() error { return n.Status("ünïcode") }, `STATUS=ünïcode`},
			{"forged", func() error { return n.Status("a\nMAINPID=1\r\x00b") }, `STATUS=a MAINPID=1  b`},
			{"no UTF-8", func() error { return n.Status("a\xffb") }, "STATUS=a\ufffdb"},
			{"long", func() error { return n.Status(strings.Repeat("ü", 5000)) }, `STATUS=ü{512}`},
			{"cut inside a rune", func() error { return n.Status("x" + strings.Repeat("ü", 5000)) }, `STATUS=xü{511}`},
			{"reloading", n.Reloading, `RELOADING=1\nMONOTONIC_USEC=\d+`},
			{"stopping", func() error { return n.Stopping("draining") }, `STOPPING=1\nSTATUS=draining`},
			{"extend", func() error { return n.Extend(90 * time.Second) }, `EXTEND_TIMEOUT_USEC=90000000`},
			{"watchdog", n.Watchdog, `WATCHDOG=1`},
		} {
			if err := tt.do(); err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			if got := receive(t, c); !regexp.MustCompile(`\A(?:` + tt.want + `)\z`).MatchString(got) {
				t.Errorf("%s: sent %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}

func TestReloadingIsNow(t *testing.T) {
	c := manager(t, filepath.Join(t.TempDir(), "n"))
	n := NewNotifier()
	before := monotonic(t)
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	after := monotonic(t)
	_, v, _ := strings.Cut(receive(t, c), "MONOTONIC_USEC=")
	at, err := strconv.ParseInt(v, 10, 64)
	if err != nil || at < before || at > after {
		t.Errorf("MONOTONIC_USEC is %q, want between %d and %d", v, before, after)
	}
}

func monotonic(t *testing.T) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

func TestNotifierMute(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	for _, n := range []*Notifier{NewNotifier(), {}} {
		err := errors.Join(n.Ready("x"), n.Status("x"), n.Reloading(), n.Stopping("x"), n.Extend(time.Second), n.Watchdog())
		if err != nil || n.Interval() != 0 {
			t.Errorf("mute notifier: %v, interval %v", err, n.Interval())
		}
	}
}

func TestNotifierErrors(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	err := NewNotifier().Ready("x")
	if !errors.Is(err, unix.ENOENT) || !strings.HasPrefix(err.Error(), `notify systemd of "READY=1": `) {
		t.Errorf("nobody listens: %v", err)
	}

	// A manager that reads nothing.
	address := filepath.Join(t.TempDir(), "n")
	manager(t, address)
	n := NewNotifier()
	fill(t, address)
	if err := n.Watchdog(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("manager does not read: %v", err)
	}
}

// fill sends datagrams until the queue at address is full, and returns how many.
func fill(t *testing.T, address string) int {
	t.Helper()
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s) })
	for n := 0; ; n++ {
		switch err := unix.Sendto(s, []byte("MESSAGE=filler\n"), 0, &unix.SockaddrUnix{Name: address}); err {
		case nil:
		case unix.EAGAIN:
			return n
		default:
			t.Fatal(err)
		}
	}
}

func TestInterval(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"10000000", self, 5 * time.Second},
		{"10000000", "", 5 * time.Second},
		{"10000000", "1", 0}, // another process is watched
		{"", self, 0},
		{"x", self, 0},
		{"-5", self, 0},
	} {
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		if got := NewNotifier().Interval(); got != tt.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: interval %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
		for _, name := range []string{"WATCHDOG_USEC", "WATCHDOG_PID"} {
			if v, ok := os.LookupEnv(name); ok {
				t.Errorf("a child would see %s=%s", name, v)
			}
		}
	}
}
