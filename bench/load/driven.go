package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// driven is the load over TLS, and over HTTP/2: a goroutine for each connection, as
// crypto/tls has no other way. It needs more of its core than loop does, which takes
// requests per second from every peer alike.
type driven struct {
	spec    Spec
	answers atomic.Int64
	ending  atomic.Bool
	failed  chan error // capacity: that of one for each connection
	running sync.WaitGroup

	mu    sync.Mutex // guards the rest
	conns []net.Conn // to be closed in the end
}

func drive(s Spec) (Result, error) {
	d := &driven{spec: s, failed: make(chan error, s.Conns), conns: make([]net.Conn, s.Conns)}
	for i := range s.Conns {
		d.running.Add(1)
		go func() {
			defer d.running.Done()
			if err := d.connection(i); err != nil {
				d.failed <- fmt.Errorf("connection %d: %w", i, err)
			}
		}()
	}
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, nc := range d.conns {
			if nc != nil {
				nc.Close()
			}
		}
	}()
	return measure(s, d)
}

func (d *driven) count() int64 { return d.answers.Load() }

// until waits until then, or until something fails.
func (d *driven) until(then time.Time) error {
	tick := time.NewTicker(patience / 20)
	defer tick.Stop()
	end := time.NewTimer(time.Until(then))
	defer end.Stop()
	for had, last := d.count(), time.Now(); ; {
		select {
		case err := <-d.failed:
			return err
		case <-end.C:
			return nil
		case now := <-tick.C:
			if n := d.count(); n != had {
				had, last = n, now
			}
			if now.Sub(last) > patience {
				return fmt.Errorf("no answer within %v", patience)
			}
		}
	}
}

// finish waits until what was asked is answered.
func (d *driven) finish() error {
	d.ending.Store(true)
	over := make(chan struct{})
	go func() {
		d.running.Wait()
		close(over)
	}()
	select {
	case err := <-d.failed:
		return err
	case <-over:
	case <-time.After(patience):
		return fmt.Errorf("no answer within %v", patience)
	}
	select {
	case err := <-d.failed:
		return err
	default:
		return nil
	}
}

// dial connects, with TLS where that is asked for.
func (d *driven) dial(i int, config *tls.Config) (net.Conn, error) {
	nc, err := net.Dial("tcp", d.spec.Addr)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.conns[i] = nc
	d.mu.Unlock()
	if config == nil {
		return nc, nil
	}
	c := tls.Client(nc, config)
	return c, c.Handshake()
}

// connection is the life of one, or of one after the other.
func (d *driven) connection(i int) error {
	var config *tls.Config
	if d.spec.TLS {
		config = &tls.Config{InsecureSkipVerify: true, ServerName: "bench.example", NextProtos: []string{"http/1.1"}}
		if d.spec.Streams > 0 {
			config.NextProtos = []string{"h2"}
		}
		if d.spec.Resume {
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		}
	}
	for n := 0; ; n++ {
		nc, err := d.dial(i, config)
		if err != nil {
			return err
		}
		if c, ok := nc.(*tls.Conn); ok && d.spec.Resume && n > 0 && !c.ConnectionState().DidResume {
			return errors.New("the server does not resume a session")
		}
		if d.spec.Streams > 0 {
			err = newFrames(nc, d, i).run()
		} else {
			err = d.requests(nc, i)
		}
		nc.Close()
		if err != nil || !d.spec.Fresh || d.ending.Load() {
			return err
		}
	}
}

// requests asks, and takes the answers; with Fresh once.
func (d *driven) requests(nc net.Conn, next int) error {
	buf := make([]byte, 64<<10)
	for had := 0; ; next++ {
		r := &d.spec.Requests[next%len(d.spec.Requests)]
		if _, err := nc.Write(r.Bytes); err != nil {
			return err
		}
		var a answer
		for done := false; !done; {
			n, err := nc.Read(buf[had:])
			used, ok, wrong := a.feed(buf[:had+n], r.Want, d.spec.Fresh)
			if wrong != nil {
				return wrong
			}
			if done = ok; !done && err != nil {
				return fmt.Errorf("the server has closed the connection: %w", err)
			}
			had = copy(buf, buf[used:had+n])
		}
		d.answers.Add(1)
		if d.spec.Fresh {
			_, err := nc.Read(buf)
			if !errors.Is(err, io.EOF) {
				return fmt.Errorf("no end of the connection: %w", err)
			}
			return nil
		}
		if d.ending.Load() {
			return nil
		}
	}
}
