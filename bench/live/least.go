package live

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// leastSource is a program that does what nobody can do without who runs each plugin in a process of its own and out of a
// copy whose SHA-256 is known: it copies and hashes, if there is a place to copy to, and has Go's and the system's loader open the plugin.
// It links what a plugin of HTTP handlers links anyhow, as most servers do.
const leastSource = `package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	_ "net/http"
	"os"
	"plugin"
)

func main() {
	path := os.Args[1]
	if len(os.Args) > 2 {
		path = os.Args[2]
		if err := place(os.Args[1], path); err != nil {
			log.Fatal(err)
		}
	}
	p, err := plugin.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := p.Lookup("Handler"); err != nil {
		log.Fatal(err)
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin) // stays until it is closed
}

func place(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	copy, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer copy.Close()
	// Hidden: os.File.WriteTo, which copies in pieces of 32 KiB.
	_, err = io.CopyBuffer(io.MultiWriter(sha256.New(), copy), struct{ io.Reader }{f}, make([]byte, 256<<10))
	return err
}
`

// leastDir is the folder, beside the daemon's own, for copies.
const leastDir = "least.d"

// Least runs that program, built as plugins are.
type Least struct{ bin string }

// BuildLeast builds it, in dir, which it makes.
func BuildLeast(dir string) (*Least, error) {
	bin := filepath.Join(dir, "least")
	return &Least{bin}, goBuild(dir, "bench.example/least", leastSource, bin)
}

// opened is one that has opened its plugin.
type opened struct {
	cmd *exec.Cmd
	in  io.Closer
}

// open starts one, and returns once its plugin is open. args are a plugin, and where it is copied to first.
func (l *Least) open(args ...string) (*opened, error) {
	cmd := exec.Command(l.bin, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	o := &opened{cmd, in}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
		return nil, errors.Join(fmt.Errorf("%v says %q: %w", args, line, err), o.end())
	}
	return o, nil
}

// end ends it.
func (o *opened) end() error {
	o.in.Close()
	return o.cmd.Wait()
}

// start has so many open at a time, as many as there are processors at work on it, and returns how long that took until all were.
func (l *Least) start(n int, args func(n int) []string) (took time.Duration, err error) {
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		all     = make([]*opened, n)
		errs    = make([]error, n)
	)
	began := time.Now()
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				all[i], errs[i] = l.open(args(i)...)
			}
		})
	}
	workers.Wait()
	took = time.Since(began)
	for i, o := range all {
		if o != nil {
			errs[i] = o.end()
		}
	}
	return took, errors.Join(errs...)
}

// starts measures the least that both starts with these plugins can take: the first, which copies them, and one of the
// copies that it has made. Files are the daemon's own, which is not started yet.
func (l *Least) starts(d *Daemon, handlers int, f figures) error {
	store := filepath.Join(d.dir, leastDir)
	if err := os.Mkdir(store, 0o700); err != nil {
		return err
	}
	copied := func(n int) string { return filepath.Join(store, nameOf(n)+".so") }
	took, err := l.start(handlers, func(n int) []string { return []string{d.Path(nameOf(n)), copied(n)} })
	if err != nil {
		return err
	}
	f.add(rows[leastStartRow], took.Seconds())
	flush()
	if took, err = l.start(handlers, func(n int) []string { return []string{copied(n)} }); err != nil {
		return err
	}
	f.add(rows[leastStartRow+1], took.Seconds())
	if err := os.RemoveAll(store); err != nil {
		return err
	}
	flush()
	return nil
}

// replace does the least for a new version, at each interval: one opens a copy, and the one before it ends.
func (l *Least) replace(d *Daemon, contents [][]byte, stop chan struct{}) (err error) {
	store := filepath.Join(d.dir, leastDir)
	if err := os.Mkdir(store, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(store)
	var live *opened
	defer func() {
		if live != nil {
			err = errors.Join(err, live.end())
		}
	}()
	copied := func(n int) string { return filepath.Join(store, fmt.Sprintf("copy%d.so", n)) }
	return every(interval, stop, func(n int) error {
		from := filepath.Join(store, "change.so")
		if err := rewrite(store, from, contents[n%len(contents)]); err != nil {
			return err
		}
		old := live
		if live, err = l.open(from, copied(n)); err != nil {
			return err
		}
		if old == nil {
			return nil
		}
		return errors.Join(old.end(), os.Remove(copied(n-1)))
	})
}
