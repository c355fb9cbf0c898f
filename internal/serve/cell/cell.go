// Package cell is the process that runs a handler, or a group of them: it loads
// the plugin, proves it, serves the connections handed to it, and hands back each
// connection whose next request is not its own. Nothing that the plugin does
// can reach beyond the process; unloading the plugin is the process's end.
//
// It and all it imports use the standard library only, so that no plugin's
// dependency can conflict with the cell's.
package cell

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"plugin"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
	"github.com/andrestc/go-plugserver/internal/serve/libpath"
	"github.com/andrestc/go-plugserver/internal/serve/proxied"
	"github.com/andrestc/go-plugserver/internal/serve/readahead"
	"github.com/andrestc/go-plugserver/internal/serve/records"
	"github.com/andrestc/go-plugserver/internal/serve/slim"
	"github.com/andrestc/go-plugserver/internal/serve/split"
	"github.com/andrestc/go-plugserver/internal/serve/title"
)

const (
	// gateWait is how long a connection waits for a new gate when the old
	// one has died.
	gateWait = 5 * time.Second
	// stopWait bounds the handler's Stop.
	stopWait = 5 * time.Second
	// orphanWait bounds the end of what was begun when the supervisor is gone.
	orphanWait = 5 * time.Second
	// inboundWait bounds the wait for the gate's last connections.
	inboundWait = time.Second
	// cutWait is how long requests may take to notice that their context
	// was cancelled when the time to end them is up.
	cutWait = 2 * time.Second
	// flushWait bounds the writing of the access log's last lines.
	flushWait = time.Second
)

// Cell is the one cell of this process.
type Cell struct {
	link   *link.Conn
	server *handover.Server
	mux    atomic.Pointer[handover.Mux]
	cancel context.CancelFunc // ends every request's context

	dropped atomic.Int64
	parting atomic.Bool    // the service ends: no new gate will come
	inbound sync.WaitGroup // the gates' sockets that give connections

	mu     sync.Mutex // guards peer and joined
	peer   *handover.Peer
	joined chan struct{} // closed and replaced when peer changes

	id      uint64 // set by Open, like limits, slim, version, server and cancel
	limits  link.Limits
	proxies *proxied.Trusted
	slim    *slim.Slim
	version map[string]*atomic.Pointer[string] // by plugin
	plugins []*loaded
	owners  map[string]*own // by pattern
	opened  chan struct{}   // closed once plugins and owners are set, for good

	// ended gets what Run returns: nil, or why the process cannot go on. Capacity 1.
	ended  chan error
	ending bool // owned by the goroutine of hear
}

// Run serves the supervisor at the other end of lc until it says to end, or
// is gone, and what was begun has ended. The process is to end then, at once. The
// error has been told over the link.
func Run(lc *link.Conn) error {
	c := &Cell{link: lc, joined: make(chan struct{}), opened: make(chan struct{}), ended: make(chan error, 1)}
	slog.SetDefault(slog.New(records.Handler(c.record)))
	giveRoom()
	go c.hear(lc)
	return <-c.ended
}

// hear does what the supervisor says, until it is gone.
func (c *Cell) hear(lc *link.Conn) {
	for {
		m, err := lc.Recv()
		if err != nil {
			// The supervisor is gone. What was begun ends.
			if !c.ending {
				c.end(link.Quit, orphanWait)
			}
			return // end ends the process
		}
		switch m.Kind {
		case link.Open:
			title.Set(m.Name)
			c.listen(m)
			go c.open(m.Plugins, counter.MapHandlers(m.FDs, len(m.Plugins)))
		case link.Named:
			c.named(m.Plugins)
		case link.Access:
			if !c.server.LogTo(m.Format, m.FDs, c.logFails) {
				lc.Send(link.Message{Kind: link.Unlogged})
			}
		case link.Join:
			c.join(m.FDs)
		case link.Table:
			<-c.opened // the supervisor sends a table only after Ready
			c.apply(m.Routes)
			lc.Send(link.Message{Kind: link.Ack, Version: m.Version})
		case link.Ping:
			stats := c.stats()
			lc.Send(link.Message{Kind: link.Pong, Seq: m.Seq, Stats: stats})
			if c.slim != nil && stats.InFlight == 0 {
				c.slim.Idle(stats.Requests, time.Now())
			}
		case link.Part:
			c.parting.Store(true)
			go func() {
				c.server.Parted(context.Background())
				lc.Send(link.Message{Kind: link.Parted})
			}()
		case link.Retire, link.Quit:
			if !c.ending {
				c.ending = true
				go c.end(m.Kind, m.Grace)
			}
		}
	}
}

// listen prepares to serve.
func (c *Cell) listen(m link.Message) {
	ctx, cancel := context.WithCancel(context.Background())
	c.id, c.limits, c.cancel = m.Cell, m.Limits, cancel
	c.server = handover.NewServer(ctx, http.NotFoundHandler(), handover.Limits{
		IdleTimeout:    m.Limits.IdleTimeout,
		HeaderTimeout:  m.Limits.HeaderTimeout,
		MaxHeaderBytes: m.Limits.MaxHeaderBytes,
		MaxConns:       m.Limits.MaxConns,
	}, slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug))
	c.server.Mux = func() handover.Mux { return *c.mux.Load() }
	c.server.Back = func() *handover.Peer { return c.gate(context.Background()) }
	c.proxies, _ = proxied.Trust(m.Limits.Proxies, proxied.Header(m.Limits.ProxyHeader)) // the supervisor has tried
	var files []string
	c.version = make(map[string]*atomic.Pointer[string])
	for _, p := range m.Plugins {
		files = append(files, p.Path)
		c.version[p.Name] = new(atomic.Pointer[string])
	}
	if program, err := os.Executable(); err == nil {
		files = append(files, program)
	}
	c.slim = slim.New(files)
	c.named(m.Plugins)
}

// named takes in which versions the plugins are.
func (c *Cell) named(plugins []link.Plugin) {
	for _, p := range plugins {
		c.version[p.Name].Store(&p.Version)
	}
}

// loaded is one plugin of this cell.
type loaded struct {
	name     string
	version  *atomic.Pointer[string]
	contract *contract
	counts   *counter.Handler
	bounds   link.Bounds
	running  atomic.Int64 // requests, where their number is bounded
}

// open loads the plugins and reports. A plugin may end or hang the process
// here; the supervisor sees that for itself. Each has its counts.
func (c *Cell) open(plugins []link.Plugin, counts []*counter.Handler) {
	readahead.Program()
	ready := link.Message{Kind: link.Ready}
	c.owners = make(map[string]*own)
	var routes []link.Route // all there are, until the first table comes
	size := 0
	for i, p := range plugins {
		k, refused := c.load(p)
		if refused == nil {
			for pattern := range k.handlers {
				size += link.RouteSize(pattern)
			}
			if size > link.MaxRoutes {
				refused = refusal.PatternsTooLarge(size, link.MaxRoutes)
			}
		}
		if refused != nil {
			c.link.Send(link.Message{Kind: link.Refused, Name: p.Name, Refusal: refused.Bounded()})
			return
		}
		l := &loaded{name: p.Name, version: c.version[p.Name], contract: k, counts: counts[i], bounds: p.Bounds}
		c.plugins = append(c.plugins, l)
		patterns := slices.Sorted(maps.Keys(k.handlers))
		for _, pattern := range patterns {
			c.owners[pattern] = &own{c, l, pattern, k.handlers[pattern]}
			routes = append(routes, link.Route{Pattern: pattern, Cell: c.id})
		}
		ready.Plugins = append(ready.Plugins, link.Plugin{Name: p.Name, Patterns: patterns})
	}
	c.apply(routes)
	close(c.opened)
	go c.server.Run()
	c.link.Send(ready)
	c.slim.Loaded()
}

func (c *Cell) load(f link.Plugin) (*contract, *refusal.Error) {
	p, err := plugin.Open(f.Path)
	if err != nil {
		return nil, refusal.Open(err, libpath.Of(f.Path))
	}
	k, refused := read(p)
	if refused != nil {
		return nil, refused
	}
	return k, k.prove(context.Background(), c.limits, func(text string, stack []byte) {
		c.recordOf(f.Name, "error", text, map[string]string{"stack": string(stack)})
	})
}

// apply puts a route table in force. What it does not give to this cell is
// foreign.
func (c *Cell) apply(table []link.Route) {
	handlers := make(map[string]http.Handler, len(table))
	for _, r := range table {
		o, ok := c.owners[r.Pattern]
		switch mine, shares := r.Cell == c.id, r.Canary.Divides(); {
		case ok && mine && !shares:
			handlers[r.Pattern] = o
		case ok && shares && (mine || r.Canary.Cell == c.id):
			handlers[r.Pattern] = handover.Divided(o, split.New(r.Canary, c.proxies).Stay(!mine))
		default:
			handlers[r.Pattern] = handover.Elsewhere
		}
	}
	mux, err := c.limits.Mux.MuxAmong(handlers, handover.Elsewhere)
	if err != nil {
		// The supervisor has built the same table already.
		c.record("error", "route table refused: "+err.Error(), nil)
		return
	}
	m := handover.Mux(mux)
	c.mux.Store(&m)
}

// join takes a socket to the gate, from which connections come from now on and
// to which they go back.
func (c *Cell) join(files []*os.File) {
	if len(files) != 2 {
		c.unjoined("no descriptor is left for it")
		return
	}
	p, err := handover.NewPeer(files[0], files[1], true)
	if err != nil {
		c.unjoined(err.Error())
		return
	}
	c.mu.Lock()
	old := c.peer
	c.peer = p
	close(c.joined)
	c.joined = make(chan struct{})
	c.mu.Unlock()
	if old != nil {
		old.Close() // its process is dead
		c.server.Recover(old)
	}
	c.server.Join(p)
	c.inbound.Add(1)
	go func() {
		<-c.opened // before that the gate knows no route to this cell
		c.server.Receive(p, func(err error) {
			if err != nil {
				c.broken(err)
			}
			c.inbound.Done()
		})
	}()
}

// broken ends the process: nothing that the gate sends arrives any more, and the
// gate has it again once the process has ended.
func (c *Cell) broken(err error) {
	c.record("error", "the way from the gate has failed: "+err.Error(), nil)
	c.leave(fmt.Errorf("the way from the gate has failed: %w", err))
}

// logFails is told where lines of the access log begin to be lost.
func (c *Cell) logFails(err error) {
	c.record("warning", "access log: lines are lost: "+err.Error(), nil)
}

// leave has Run return, once what was told is with the supervisor.
func (c *Cell) leave(why error) {
	c.link.Finish(time.Second)
	select {
	case c.ended <- why:
	default: // it is about to
	}
}

// unjoined says that the way to the gate has to come again.
func (c *Cell) unjoined(why string) {
	c.record("debug", "not joined to the gate: "+why, nil)
	c.link.Send(link.Message{Kind: link.Unjoined})
}

// gate returns the gate, or nil if there is none for too long.
func (c *Cell) gate(ctx context.Context) *handover.Peer {
	t := time.NewTimer(gateWait)
	defer t.Stop()
	for {
		c.mu.Lock()
		p, joined := c.peer, c.joined
		c.mu.Unlock()
		if p != nil && !p.Dead() {
			return p
		}
		if c.parting.Load() {
			return nil
		}
		select {
		case <-joined:
		case <-ctx.Done():
			return nil
		case <-t.C:
			return nil
		}
	}
}

func (c *Cell) stats() *link.Stats {
	s := &link.Stats{Dropped: c.dropped.Load(), Goroutines: runtime.NumGoroutine()}
	if c.server != nil {
		s.Conns = c.server.Conns()
	}
	select {
	case <-c.opened:
	default:
		return s
	}
	if len(c.plugins) > 1 {
		s.Plugins = make(map[string]link.Share, len(c.plugins))
	}
	for _, l := range c.plugins {
		var share link.Share
		share.Requests, share.InFlight = l.counts.Begun()
		s.Requests += share.Requests
		s.InFlight += share.InFlight
		if s.Plugins != nil {
			s.Plugins[l.name] = share
		}
	}
	return s
}

// end retires the cell, or ends it with the whole service, and reports.
func (c *Cell) end(kind link.Kind, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	select {
	case <-c.opened:
		c.drain(ctx, kind)
	default:
	}
	if c.server != nil {
		c.server.Access.Flush(flushWait)
	}
	c.link.Send(link.Message{Kind: link.Done, Stats: c.stats()})
	c.leave(nil)
}

func (c *Cell) drain(ctx context.Context, kind link.Kind) {
	var err error
	if kind == link.Retire {
		err = c.giveBack(ctx)
	} else {
		c.awaitGate(ctx)
		err = c.server.Shutdown(ctx)
	}
	if err != nil {
		c.record("warning", "requests were still being served when the time to end them was up", map[string]string{
			"connections": slog.IntValue(c.server.Conns()).String(),
		})
		c.cancel()
		cut, cancel := context.WithTimeout(context.Background(), cutWait)
		c.server.Drained(cut)
		cancel()
		c.server.Shutdown(cut)
	}
	c.stop()
}

// awaitGate takes the last connections of the gate, which ends first, and takes
// back what it has not taken of this cell.
func (c *Cell) awaitGate(ctx context.Context) {
	last, cancel := context.WithTimeout(ctx, inboundWait)
	defer cancel()
	if c.awaitInbound(last) != nil {
		return
	}
	c.mu.Lock()
	p := c.peer
	c.mu.Unlock()
	if p != nil {
		c.server.Recover(p)
	}
}

// giveBack makes every connection leave, and waits until none is left and the
// gate sends no more.
func (c *Cell) giveBack(ctx context.Context) error {
	c.server.Retire()
	if err := c.awaitInbound(ctx); err != nil {
		return err
	}
	return c.server.Drained(ctx)
}

// awaitInbound waits until the gate sends no more connections.
func (c *Cell) awaitInbound(ctx context.Context) error {
	done := make(chan struct{})
	go func() { c.inbound.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop runs the handlers' Stop, all at the same time.
func (c *Cell) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range c.plugins {
		if l.contract.stop == nil {
			continue
		}
		all.Add(1)
		go func() {
			defer all.Done()
			l.stop(ctx, c)
		}()
	}
	all.Wait()
}

func (l *loaded) stop(ctx context.Context, c *Cell) {
	done := make(chan error, 1)
	go func() { done <- l.contract.stop(ctx) }()
	select {
	case err := <-done:
		if err != nil {
			c.recordOf(l.name, "info", fmt.Sprintf("Stop returned an error: %v", err), nil)
		}
	case <-ctx.Done():
		c.recordOf(l.name, "warning", "Stop did not return in time", nil)
	}
}
