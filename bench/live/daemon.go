package live

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/bench/tree"
)

// patience bounds each wait; nothing takes so long.
const patience = 30 * time.Minute

// Daemon is a plugserverd on a folder of its own.
type Daemon struct {
	dir, bin string
	port     int
	cmd      *exec.Cmd
	conn     net.Conn
	answers  *bufio.Reader
	control  http.Client
	fresh    bool // each request has a connection of its own
}

// NewDaemon prepares one of the build in the folder bin. It is not started.
func NewDaemon(dir, bin string, port int) (*Daemon, error) {
	d := &Daemon{dir: dir, bin: bin, port: port}
	d.control.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(dir, "c.sock"))
	}}
	return d, os.MkdirAll(filepath.Join(dir, "handlers"), 0o755)
}

// Path is where the handler of that name lies.
func (d *Daemon) Path(name string) string { return filepath.Join(d.dir, "handlers", name+".so") }

// Start starts it, and returns how long it took until all handlers were live.
func (d *Daemon) Start() (time.Duration, error) {
	d.cmd = exec.Command(filepath.Join(d.bin, "plugserverd"), "--listen", fmt.Sprintf("127.0.0.1:%d", d.port),
		"--handlers", filepath.Join(d.dir, "handlers"), "--state", filepath.Join(d.dir, "state"), "--control", filepath.Join(d.dir, "c.sock"),
		"--config", filepath.Join(d.dir, "conf"), "--cell", filepath.Join(d.bin, "plugserver-cell"), "--build=off", "--build-cells=off", "--log-format=json")
	out, in, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	d.cmd.Stdout, d.cmd.Stderr = in, in
	began := time.Now()
	err = d.cmd.Start()
	in.Close()
	if err != nil {
		return 0, err
	}
	ready := make(chan struct{})
	go func() {
		defer out.Close()
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"msg":"ready"`) {
				close(ready)
			}
		}
		io.Copy(io.Discard, out)
	}()
	select {
	case <-ready:
		took := time.Since(began)
		return took, d.connect()
	case <-time.After(patience):
		d.Kill()
		return 0, errors.New("plugserverd is not ready")
	}
}

// connect makes the connection that requests go over. One that none came over is closed after a while.
func (d *Daemon) connect() (err error) {
	if d.conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.port)); err == nil {
		d.answers = bufio.NewReader(d.conn)
	}
	return err
}

// Stop ends it as an operator does.
func (d *Daemon) Stop() error {
	d.conn.Close()
	d.control.CloseIdleConnections()
	d.cmd.Process.Signal(syscall.SIGTERM)
	return d.cmd.Wait()
}

// Kill ends it, and all it has started.
func (d *Daemon) Kill() {
	if d.cmd != nil && d.cmd.ProcessState == nil {
		tree.Hold(d.cmd.Process.Pid).Kill()
		d.cmd.Wait()
	}
}

// get asks for a path.
func (d *Daemon) get(path string) (status int, body string, err error) {
	if d.fresh {
		return d.ask(path)
	}
	if _, err := fmt.Fprintf(d.conn, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path); err != nil {
		return 0, "", err
	}
	r, err := http.ReadResponse(d.answers, nil)
	if err != nil {
		return 0, "", err
	}
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// ask is get by a connection of its own; while nobody listens the status is 0.
func (d *Daemon) ask(path string) (status int, body string, err error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(fmt.Sprintf("http://127.0.0.1:%d%s", d.port, path))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// until asks until the answer is the wanted one, and returns how long that took
// since then.
func (d *Daemon) until(path string, status int, body string, since time.Time) (time.Duration, error) {
	for {
		s, b, err := d.get(path)
		took := time.Since(since)
		switch {
		case err != nil:
			return 0, err
		case s == status && (body == "" || b == body):
			return took, nil
		case took > patience:
			return 0, fmt.Errorf("GET %s: %d %q, want %d %q", path, s, b, status, body)
		}
		time.Sleep(100 * time.Microsecond) // the cores are the daemon's
	}
}

// rollback asks for a version of a handler.
func (d *Daemon) rollback(name, version string) error {
	r, err := d.control.Post("http://control/v1/rollback?"+url.Values{"name": {name}, "version": {version}}.Encode(), "", nil)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("rollback: %s", b)
	}
	return err
}

// rest is what its processes have while they rest.
type rest struct {
	supervisor, gate                             float64   // RSS, MiB
	cells, spares                                []float64 // PSS, MiB: of up to 50, and of those that wait for a handler
	supervisorFDs, gateFDs, cellFDs, cellThreads []float64
}

func (d *Daemon) rest() (r rest) {
	for _, pid := range tree.Of(d.cmd.Process.Pid) {
		args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		switch {
		case err != nil:
		case pid == d.cmd.Process.Pid:
			r.supervisor, r.supervisorFDs = mebibytes(pid, "status", "VmRSS:"), entries(pid, "fd")
		case strings.Contains(string(args), "\x00gate"):
			r.gate, r.gateFDs = mebibytes(pid, "status", "VmRSS:"), entries(pid, "fd")
		case strings.Contains(string(args), "(spare)"):
			r.spares = append(r.spares, mebibytes(pid, "smaps_rollup", "Pss:"))
		case len(r.cells) < 50:
			r.cells = append(r.cells, mebibytes(pid, "smaps_rollup", "Pss:"))
			r.cellFDs = append(r.cellFDs, entries(pid, "fd")...)
			r.cellThreads = append(r.cellThreads, entries(pid, "task")...)
		}
	}
	return r
}

// entries is how many there are in a folder of a process's.
func entries(pid int, folder string) []float64 {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, folder))
	return []float64{float64(len(all))}
}

func mebibytes(pid int, file, key string) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024
		}
	}
	return 0
}
