package live

import (
	"bufio"
	"bytes"
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
	slice    = time.Second            // that is measured, in turn without and with replacements
	slices   = 6                      // of each kind
	interval = 100 * time.Millisecond // between two replacements
)

// underLoad measures what replacing another handler ten times a second costs the clients of
// one that stays.
func underLoad(d *Daemon, twins *Twins, f figures) error {
	var contents [][]byte
	for i := range 2 {
		contents = append(contents, twins.Make(at, "change", fmt.Sprint("load", i)))
	}
	if _, err := d.drop("change", "load0", contents[0], false); err != nil {
		return err
	}
	for n := 1; n <= slices; n++ {
		still, err := d.traffic(slice)
		if err != nil {
			return err
		}
		stop, stopped := make(chan struct{}), make(chan error)
		go func() { stopped <- d.replace(contents, stop) }()
		moving, err := d.traffic(slice)
		close(stop)
		if e := <-stopped; err == nil {
			err = e
		}
		if err != nil {
			return err
		}
		f.add(rows[11], float64(len(moving))/float64(len(still)))
		f.add(rows[12], stats.Quantile(moving, 0.99)/stats.Quantile(still, 0.99))
	}
	if err := os.Remove(d.Path("change")); err != nil {
		return err
	}
	_, err := d.until("/change", 404, "", time.Now())
	return err
}

// replace replaces the handler at each interval.
func (d *Daemon) replace(contents [][]byte, stop chan struct{}) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		temp := filepath.Join(d.dir, "handlers", ".new")
		if err := os.WriteFile(temp, contents[n%len(contents)], 0o644); err != nil {
			return err
		}
		if err := os.Rename(temp, d.Path("change")); err != nil {
			return err
		}
	}
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
