package live

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/bench/stats"
)

const (
	clients  = 16                     // at work at a time, each on a connection of its own
	slice    = time.Second            // that is measured, in turn without replacements, with them, and with the least of them
	slices   = 6                      // of each kind
	interval = 100 * time.Millisecond // between two replacements
)

// underLoad measures what replacing another handler ten times a second costs the clients of
// one that stays, and what the least of a replacement does: as much is written and read, hashed and loaded, by a program that
// has no other purpose.
func underLoad(d *Daemon, twins *Twins, least *Least, f figures) error {
	var contents [][]byte
	for i := range 2 {
		contents = append(contents, twins.Make(at, "change", fmt.Sprint("load", i)))
	}
	if _, err := d.drop("change", "load0", contents[0], false); err != nil {
		return err
	}
	// beside measures what the clients get while something else is done.
	beside := func(do func(stop chan struct{}) error) ([]float64, error) {
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() { stopped <- do(stop) }()
		took, err := d.traffic(slice)
		close(stop)
		return took, errors.Join(err, <-stopped)
	}
	for n := 1; n <= slices; n++ {
		still, err := d.traffic(slice)
		if err != nil {
			return err
		}
		moving, err := beside(func(stop chan struct{}) error { return d.replace(contents, stop) })
		if err != nil {
			return err
		}
		lesser, err := beside(func(stop chan struct{}) error { return least.replace(d, contents, stop) })
		if err != nil {
			return err
		}
		for at, took := range map[int][]float64{movingRow: moving, leastMovingRow: lesser} {
			f.add(rows[at], float64(len(took))/float64(len(still)))
			f.add(rows[at+1], stats.Quantile(took, 0.99)/stats.Quantile(still, 0.99))
		}
	}
	if err := os.Remove(d.Path("change")); err != nil {
		return err
	}
	_, err := d.until("/change", 404, "", time.Now())
	return err
}

// replace replaces the handler at each interval.
func (d *Daemon) replace(contents [][]byte, stop chan struct{}) error {
	return every(interval, stop, func(n int) error {
		return rewrite(filepath.Join(d.dir, "handlers"), d.Path("change"), contents[n%len(contents)])
	})
}

// every calls f, with numbers from 1 on, until it is told to stop.
func every(interval time.Duration, stop chan struct{}, f func(n int) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		if err := f(n); err != nil {
			return err
		}
	}
}

// rewrite has a file in dir become another, as an operator does who replaces a handler.
func rewrite(dir, path string, content []byte) error {
	temp := filepath.Join(dir, ".new")
	if err := os.WriteFile(temp, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// traffic has all clients ask one handler for so long, and returns how long each request took,
// in milliseconds. An answer that is wrong, or none, is an error.
func (d *Daemon) traffic(span time.Duration) (took []float64, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex // guards took and err
	end := time.Now().Add(span)
	for range clients {
		all.Go(func() {
			own, e := d.client("/"+nameOf(0), "v0", end)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, own...)
			if e != nil {
				err = e
			}
		})
	}
	all.Wait()
	return took, err
}

func (d *Daemon) client(path, want string, end time.Time) (took []float64, err error) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.port))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ask, answers := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path), bufio.NewReader(c)
	for {
		began := time.Now()
		if began.After(end) {
			return took, nil
		}
		if _, err := c.Write(ask); err != nil {
			return nil, err
		}
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 || !bytes.Equal(b, []byte(want)) {
			return nil, fmt.Errorf("GET %s: %d %q, %v", path, r.StatusCode, b, err)
		}
		took = append(took, milliseconds(time.Since(began)))
	}
}
