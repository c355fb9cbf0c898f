package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// spread is the minimum, median and maximum of some figures.
type spread struct{ min, median, max float64 }

func spreadOf(v []float64) spread {
	v = slices.Sorted(slices.Values(v))
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

func (s spread) String() string { return fmt.Sprintf("%.3f (%.3f to %.3f)", s.median, s.min, s.max) }

// BenchmarkDrop measures from rename(2) into the directory to the first 200: of
// a new handler, and of a new version of one that serves.
func BenchmarkDrop(b *testing.B) {
	const drops = 100
	d := Start(b)
	var added, replaced []float64
	c := d.Dial()
	defer c.Close()
	// until asks without pause until the answer is the wanted one, and
	// returns how long that took, in milliseconds.
	until := func(began time.Time, status int, body string) float64 {
		for time.Since(began) < patience {
			a, err := c.Get("/drop")
			if err != nil {
				b.Fatal(err)
			}
			if a.Status == status && (body == "" || string(a.Body) == body) {
				return float64(time.Since(began)) / float64(time.Millisecond)
			}
			time.Sleep(100 * time.Microsecond) // leave the two cores to the daemon
		}
		b.Fatalf("no answer %d %q", status, body)
		return 0
	}
	drop := func(version string) time.Time {
		p := plain(b, "/drop", version)
		began := time.Now()
		d.DropOld("drop", p)
		return began
	}
	for n := range drops {
		added = append(added, until(drop(number(2*n)), 200, number(2*n)))
		replaced = append(replaced, until(drop(number(2*n+1)), 200, number(2*n+1)))
		d.Remove("drop")
		until(time.Now(), 404, "")
	}
	for _, r := range []struct {
		name string
		ms   []float64
	}{{"new", added}, {"newer", replaced}} {
		v := slices.Sorted(slices.Values(r.ms))
		b.ReportMetric(v[len(v)/2], r.name+"-p50-ms")
		b.ReportMetric(v[len(v)*99/100], r.name+"-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}

const compiledIn = `package main

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Hello World!") })
	fmt.Println(l.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	panic(srv.Serve(l))
}
`

// reference starts the hello handler compiled into a net/http server.
func reference(b *testing.B) (addr string, pid int) {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{"main.go": compiledIn, "go.mod": "module reference\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	out := filepath.Join(dir, "reference")
	if err := goBuild(dir, out, []string{"CGO_ENABLED=1"}); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(out)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	addr, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(addr), cmd.Process.Pid
}

const request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"

// load asks over conns connections for d, on fresh connections each time or
// on the same, and returns the number of answers. Its own work is small: all
// answers are as long as the first.
func load(b *testing.B, addr string, conns int, d time.Duration, fresh bool) int64 {
	var answers atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var c net.Conn
			var length int
			buf := make([]byte, 4<<10)
			for !stop.Load() {
				if c == nil {
					var err error
					if c, err = net.Dial("tcp", addr); err != nil {
						b.Error(err)
						return
					}
					if length == 0 {
						// The first answer tells the length of all.
						io.WriteString(c, request)
						n, err := c.Read(buf)
						if err != nil || !strings.HasSuffix(string(buf[:n]), "Hello World!") {
							b.Errorf("first answer: %q, %v", buf[:n], err)
							return
						}
						length = n
					}
				}
				if _, err := io.WriteString(c, request); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(c, buf[:length]); err != nil {
					b.Error(err)
					return
				}
				answers.Add(1)
				if fresh {
					c.(*net.TCPConn).SetLinger(0) // no TIME_WAIT: ports are few
					c.Close()
					c = nil
				}
			}
			if c != nil {
				c.Close()
			}
		}()
	}
	time.Sleep(d)
	stop.Store(true)
	wg.Wait()
	return answers.Load()
}

// cpu returns the time that the processes have spent on a processor so far
// (proc_pid_schedstat: nanoseconds, per thread).
func cpu(pids []int) (total time.Duration) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, t := range tasks {
			text, _ := os.ReadFile(t)
			ns, _, _ := strings.Cut(string(text), " ")
			n, _ := strconv.ParseInt(ns, 10, 64)
			total += time.Duration(n)
		}
	}
	return total
}

// BenchmarkBesideNetHTTP compares a handler in a cell with the same handler
// compiled into a net/http server, in interleaved rounds: requests per second,
// and CPU time per request of all the server's processes.
func BenchmarkBesideNetHTTP(b *testing.B) {
	addr, pid := reference(b)
	d := Start(b, Flags("--log-level", "info"))
	hello := Sample(b, "hello")
	d.Put("hello", hello)
	var pids []int
	for _, p := range d.Processes() {
		pids = append(pids, p.PID)
	}
	for _, mode := range []struct {
		name  string
		fresh bool
		conns int
	}{{"keep-alive", false, 16}, {"one-request-per-connection", true, 16}} {
		b.Run(mode.name, func(b *testing.B) {
			const rounds, each = 12, time.Second
			var rps, cost, theirs, ours []float64
			measure := func(addr string, pids []int) (perSecond, perRequest float64) {
				before, began := cpu(pids), time.Now()
				n := load(b, addr, mode.conns, each, mode.fresh)
				if n == 0 {
					b.Fatal("no answers")
				}
				return float64(n) / time.Since(began).Seconds(), float64(cpu(pids)-before) / float64(n) / 1e3
			}
			measure(addr, []int{pid})
			measure(d.Addr, pids)
			for r := range rounds {
				var s1, c1, s2, c2 float64
				if r%2 == 0 {
					s1, c1 = measure(addr, []int{pid})
					s2, c2 = measure(d.Addr, pids)
				} else {
					s2, c2 = measure(d.Addr, pids)
					s1, c1 = measure(addr, []int{pid})
				}
				rps, cost = append(rps, s2/s1), append(cost, c2/c1)
				theirs, ours = append(theirs, c1), append(ours, c2)
			}
			b.Logf("requests per second, plugserver / net/http: %v", spreadOf(rps))
			b.Logf("CPU per request,     plugserver / net/http: %v", spreadOf(cost))
			b.Logf("CPU per request in µs: plugserver %v, net/http %v", spreadOf(ours), spreadOf(theirs))
			b.ReportMetric(spreadOf(rps).median, "rps-ratio")
			b.ReportMetric(spreadOf(cost).median, "cpu-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkMemory measures what a cell costs: the proportional set size of one
// that has served a request.
func BenchmarkMemory(b *testing.B) {
	const handlers = 20
	d := Start(b)
	for n := range handlers {
		d.Put(fmt.Sprintf("h%d", n), plain(b, fmt.Sprintf("/h%d", n), number(n)))
		d.Want(fmt.Sprintf("/h%d", n), http.StatusOK, number(n))
	}
	var mb []float64
	for _, h := range d.Status().Handlers {
		mb = append(mb, float64(h.MemoryBytes)/(1<<20))
	}
	b.Logf("MiB per cell (Pss), %d cells: %v", handlers, spreadOf(mb))
	b.ReportMetric(spreadOf(mb).median, "MiB/cell")
	b.ReportMetric(0, "ns/op")
}
