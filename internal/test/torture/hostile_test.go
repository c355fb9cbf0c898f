package torture

import (
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/andrestc/go-plugserver/internal/test/testbed"
)

// foeSource is a handler that speaks over its process's sockets itself, to the
// supervisor and to the gate, as the protocol does not say; a number says what
// exactly.
const foeSource = `package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/foe": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "foe") }),
		"/foe/do": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seed, _ := strconv.ParseInt(r.FormValue("seed"), 10, 64)
			f := &foe{rand.New(rand.NewSource(seed))}
			for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
				f.do(r.FormValue("what"))
			}
			io.WriteString(w, "done")
		}),
	}
}

type foe struct{ rng *rand.Rand }

// sockets are this process's, of a domain.
func sockets(domain int) (fds []int) {
	for fd := 3; fd < 1024; fd++ {
		if d, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_DOMAIN); err == nil && d == domain {
			fds = append(fds, fd)
		}
	}
	return fds
}

// pages are the memory that this process shares with others.
func pages() (all [][]byte) {
	maps, _ := os.ReadFile("/proc/self/maps")
	for _, line := range strings.Split(string(maps), "\n") {
		var from, to uintptr
		if strings.Contains(line, "memfd:") {
			fmt.Sscanf(line, "%x-%x", &from, &to)
			p := from
			all = append(all, unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), to-from))
		}
	}
	return all
}

func (f *foe) bytes(most int) []byte {
	b := make([]byte, f.rng.Intn(most))
	f.rng.Read(b)
	return b
}

func frame(kind byte, fds int, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return append(append(b, kind, byte(fds), 0x50, 0x53), body...)
}

func many(fd, n int) []int {
	fds := make([]int, n)
	for i := range fds {
		fds[i] = fd
	}
	return fds
}

// send never waits for long: who does not read is not hurt.
func send(fd int, b []byte, fds ...int) {
	var oob []byte
	if len(fds) > 0 {
		oob = syscall.UnixRights(fds...)
	}
	for tries := 0; len(b) > 0 && tries < 20; tries++ {
		n, err := syscall.SendmsgN(fd, b, oob, nil, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		if err == syscall.EAGAIN {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return
		}
		b, oob = b[n:], nil
	}
}

func (f *foe) do(what string) {
	kinds := "crafotlm?"
	for _, fd := range sockets(syscall.AF_UNIX) {
		switch what {
		case "nonsense":
			send(fd, f.bytes(1<<12))
		case "words":
			send(fd, frame(kinds[f.rng.Intn(len(kinds))], 0, f.bytes(1<<f.rng.Intn(18))))
		case "flagged":
			// As good as valid, but for what it says.
			b := []byte{byte(f.rng.Intn(64)), 0}
			for range 3 {
				b = binary.AppendUvarint(b, uint64(f.rng.Intn(5)))
			}
			send(fd, frame(kinds[f.rng.Intn(len(kinds))], 0, append(b, f.bytes(64)...)))
		case "descriptors":
			all := many(0, 1+f.rng.Intn(100))
			b := frame(kinds[f.rng.Intn(len(kinds))], f.rng.Intn(3), f.bytes(1<<10))
			for i := range b {
				send(fd, b[i:i+1], all...)
			}
		case "attached":
			n := 1 + f.rng.Intn(60)
			body := "{\"kind\":\"log\",\"level\":\"debug\",\"text\":\"x\"}"
			send(fd, frame('m', n, []byte(body)), many(fd, n)...)
		case "halves":
			b := frame(kinds[f.rng.Intn(len(kinds))], 1, f.bytes(1<<16))
			send(fd, b[:f.rng.Intn(len(b))], fd)
		case "forged":
			// Any socket as a client's, from wherever.
			for _, c := range append(sockets(syscall.AF_INET), fd) {
				b := []byte{1, 0, 0, 0}
				for _, addr := range []string{"10.0.0.1:1", "127.0.0.1:80"} {
					b = append(binary.AppendUvarint(b, uint64(len(addr))), addr...)
				}
				send(fd, frame('c', 1, append(b, "GET /calm HTTP/1.1\r\nHost: x\r\n\r\n"...)), c)
			}
		case "messages":
			long := strings.Repeat("x", 1<<20)
			for _, m := range []string{
				"{\"kind\":\"log\",\"level\":\"error\",\"text\":\"" + long + "\"}",
				"{\"kind\":\"refused\",\"refusal\":{\"reason\":\"" + long + "\"}}",
				"{\"kind\":\"ready\",\"plugins\":[{\"name\":\"foe\",\"patterns\":[\"/calm\"]}]}",
				"{\"kind\":\"ack\",\"version\":18446744073709551615}",
				"{\"kind\":\"pong\",\"seq\":18446744073709551615,\"stats\":{\"requests\":-1,\"in_flight\":-1,\"conns\":-5}}",
				"{\"kind\":\"broken\",\"cell\":1}", "{\"kind\":\"broken\",\"cell\":2}",
				"{\"kind\":\"done\"}", "{\"kind\":\"unjoined\"}", "{\"kind\":\"parted\"}",
				"{\"kind\":\"quit\"}", "{\"kind\":\"table\",\"routes\":[]}", "[]", "{", "null",
			} {
				send(fd, frame('m', 0, []byte(m)))
			}
		case "longest":
			send(fd, frame(kinds[f.rng.Intn(len(kinds))], 0, make([]byte, 16<<20)))
		case "shut":
			syscall.Shutdown(fd, f.rng.Intn(3))
		case "blocking":
			for _, c := range append(sockets(syscall.AF_INET), fd) {
				syscall.SetNonblock(c, false)
			}
		}
	}
	switch what {
	case "pages":
		for _, p := range pages() {
			for range 100 {
				p[f.rng.Intn(len(p))] = byte(f.rng.Intn(256))
			}
		}
	case "truncated":
		files, _ := os.ReadDir("/proc/self/map_files")
		for _, e := range files {
			path := "/proc/self/map_files/" + e.Name()
			if to, _ := os.Readlink(path); strings.Contains(to, "memfd:") {
				os.Truncate(path, 0)
			}
		}
	}
}

func main() {}
`

var foes = sync.OnceValues(func() (testbed.Plugin, error) {
	return testbed.TryPlugin(testbed.Source{Files: map[string]string{"main.go": foeSource}, Flags: []string{"-ldflags=-s"}})
})

// hostile is what a handler does that means harm to others over what its process
// shares with them. It may lose its own process; nobody else loses anything.
var hostile = concat(
	foe("nonsense"), foe("words"), foe("flagged"), foe("descriptors"), foe("attached"), foe("halves"), foe("forged"),
	foe("messages"), foe("longest"), foe("shut"), foe("blocking"), foe("pages"), foe("truncated"),
)

// mostMemory is what the gate and the supervisor may have needed at the most, in
// bytes: a few of the longest frames beside what they always need.
const mostMemory = 256 << 20

func foe(what string) []fault {
	return []fault{{name: "a hostile handler: " + what, weight: 1, hurt: func(a *arena) {
		p, err := foes()
		if err != nil {
			a.life.Fatalf("%v", err)
		}
		mark := a.d.Log.Len()
		a.d.DropOld("foe", p)
		a.d.WaitLive(mark, "foe", p)
		// Clients that are the foe's when it begins.
		var clients []*testbed.Client
		for range 5 {
			c := a.dial()
			defer c.Close()
			c.Get("/foe")
			c.Get("/foe")
			clients = append(clients, c)
		}
		for range 1 + a.rng.IntN(2) {
			c := a.dial()
			c.Get(fmt.Sprintf("/foe/do?seed=%d&what=%s", a.rng.Int64(), url.QueryEscape(what)))
			c.Close()
			for _, c := range clients {
				c.Get("/calm") // it may be lost
			}
		}
		for _, c := range clients {
			c.Close()
		}
		a.leave("foe")
		for who, pid := range map[string]int{"supervisor": a.d.PID(), "gate": a.before.Daemon.GatePID} {
			if n := peak(pid); n > mostMemory {
				a.life.Errorf("the %s has needed %d MiB", who, n>>20)
			}
		}
	}}}
}

// peak is the most memory that a process has had (VmHWM, proc_pid_status(5)), in
// bytes; 0 where it is gone.
func peak(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	line, _, _ := strings.Cut(rest, " kB")
	n, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n << 10
}
