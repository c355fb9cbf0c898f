// Package gate is the process that accepts every connection. It reads a
// request's head, finds the route, and forwards the request to the route's cell
// or hands the connection on; what belongs to no handler it answers itself. It
// runs no handler's code and keeps no request's body.
package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/epoll"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/routes"
	"github.com/andrestc/go-plugserver/internal/serve/h2"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
	"github.com/andrestc/go-plugserver/internal/serve/proxied"
	"github.com/andrestc/go-plugserver/internal/serve/secure"
)

const (
	// probeWait bounds the gate's own request.
	probeWait = 10 * time.Second
	// orphanWait bounds the end of what was begun when the supervisor is gone.
	orphanWait = 5 * time.Second
	// flushWait bounds the writing of the access log's last lines.
	flushWait = time.Second
)

// Gate is the one gate of this process.
type Gate struct {
	link    *link.Conn
	server  *handover.Server // set by Open, the first message, like h2, secure and hold
	h2      *h2.Server
	secure  *secure.Server
	https   atomic.Int32 // the port that clients in the clear are sent on to; 0 is none
	asked   asked
	hold    time.Duration
	dialect routes.Dialect        // set by Open
	proxies *proxied.Trusted      // set by Open
	table   atomic.Pointer[table] // published whole, never changed

	held, dropped atomic.Int64
	counts        *counter.Gate // set by Open

	// tabled is closed once the first table is in force. Until then nothing
	// that a cell gives back could be routed.
	tabled chan struct{}

	// ended gets what Run returns: nil, or why the process cannot go on. Capacity 1.
	ended chan error

	// Owned by the goroutine of hear.
	told      told
	cells     map[uint64]*cell
	peers     map[uint64][]*handover.Peer // of cells whose processes live
	listeners []*handover.Listener
	accepting sync.WaitGroup
	ending    bool
}

// share is how many of the machine's processors there are for one of the gate's:
// what it does for a request is little beside what the cell does, and each
// thread that wakes for it costs more than that.
const share = 4

// tune sets the runtime up for that, unless the operator has (package runtime,
// "Environment Variables").
func tune() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.NumCPU()/share))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // its heap is small
	}
}

// Run serves the supervisor at the other end of lc until it says to end, or
// is gone, and what was begun has ended. The process is to end then, at once. The
// error has been told over the link.
func Run(lc *link.Conn) error {
	tune()
	epoll.Begin() // where that fails, the first that waits tries again
	g := &Gate{link: lc, cells: make(map[uint64]*cell), peers: make(map[uint64][]*handover.Peer), tabled: make(chan struct{}), ended: make(chan error, 1)}
	g.table.Store(&table{mux: http.NewServeMux(), replaced: make(chan struct{})})
	go g.hear(lc)
	return <-g.ended
}

// hear does what the supervisor says, until it is gone.
func (g *Gate) hear(lc *link.Conn) {
	for {
		m, err := lc.Recv()
		if err != nil {
			// The supervisor is gone: the cells end once this gate has.
			if !g.ending {
				g.part()
				g.end(orphanWait)
			}
			return // end ends the process
		}
		switch m.Kind {
		case link.Open:
			g.counts = counter.MapGate(m.FDs)
			g.open(m.Limits, m.Key)
		case link.Access:
			if !g.server.LogTo(m.Format, m.FDs, g.logFails) {
				lc.Send(link.Message{Kind: link.Unlogged})
			}
		case link.Listen:
			g.listen(m)
		case link.Secure:
			g.secured(m.TLS)
		case link.Join:
			g.join(m)
		case link.Gone:
			for _, p := range g.peers[m.Cell] {
				p.CloseRead()
			}
			delete(g.peers, m.Cell)
		case link.Table:
			if err := g.apply(m); err != nil {
				g.record("error", err.Error())
				g.leave(err) // the next gate is told all
				return
			}
			lc.Send(link.Message{Kind: link.Ack, Version: m.Version})
		case link.Ping:
			g.lookAfter()
			go g.answer(m.Seq)
		case link.Part:
			g.part()
		case link.Quit:
			if !g.ending {
				g.ending = true
				g.part()
				go g.end(m.Grace)
			}
		}
	}
}

// open prepares to serve.
func (g *Gate) open(lim link.Limits, key []byte) {
	g.hold, g.dialect = lim.Hold, lim.Mux
	g.proxies, _ = proxied.Trust(lim.Proxies, proxied.Header(lim.ProxyHeader)) // the supervisor has tried
	g.server = handover.NewServer(context.Background(), http.NotFoundHandler(), handover.Limits{
		IdleTimeout:    lim.IdleTimeout,
		HeaderTimeout:  lim.HeaderTimeout,
		WriteTimeout:   lim.WriteTimeout,
		MaxHeaderBytes: lim.MaxHeaderBytes,
		MaxConns:       lim.MaxConns,
	}, log.New(logWriter{g}, "", 0))
	g.server.Route, g.server.RouteNow, g.server.Counts, g.server.Key = g.route, g.routeNow, g.counts, key
	g.server.Lends = lim.Lends
	g.server.Full = func(most int) {
		if most == 0 {
			g.record("warning", "the gate has no more descriptors for connections, of which those that are relayed (TLS 1.2, ChaCha20-Poly1305) take two: more wait to be accepted until some end; raise LimitNOFILE= of the service")
			return
		}
		g.record("warning", fmt.Sprintf("there are %d connections, as many as --max-connections allows: more wait to be accepted until some end", most))
	}
	g.h2 = h2.New(h2.Config{
		Handler: g.server.Forward, ConnContext: handover.ConnContext,
		IdleTimeout: lim.IdleTimeout, MaxHeaderBytes: lim.MaxHeaderBytes,
		Log: log.New(logWriter{g}, "", 0),
	})
	sc := secure.Config{
		Limit: lim.HeaderTimeout, Give: g.server.Take, GiveSealed: g.server.TakeSealed, Uses: g.server.Beside, Aside: g.server.Aside,
		Log: func(text string) { g.record("debug", text) },
	}
	if lim.HTTP2 == link.HTTP2All {
		g.server.HTTP2 = g.h2.Serve
	}
	if lim.HTTP2 != link.HTTP2Off {
		sc.HTTP2 = func(c *tls.Conn) { g.h2.Serve(c) }
	}
	g.secure = secure.New(sc)
	go g.server.Run()
}

// listen starts to accept. The routes in force by then are the first that a
// client can meet.
func (g *Gate) listen(m link.Message) {
	if len(m.FDs) == 0 {
		g.cannotListen(errors.New("no descriptor is left"))
		return
	}
	for i, f := range m.FDs {
		l, err := handover.Listen(f)
		if err != nil {
			g.cannotListen(err)
			return
		}
		if slices.Contains(m.Secure, i) {
			l.Secure = g.secure.Serve
		}
		l.Proxied = slices.Contains(m.Proxied, i)
		g.listeners = append(g.listeners, l)
		g.accepting.Add(1)
		go func() {
			defer g.accepting.Done()
			if err := g.server.Accept(l); !errors.Is(err, net.ErrClosed) {
				g.record("error", fmt.Sprintf("accept: %v", err))
			}
		}()
	}
	g.link.Send(link.Message{Kind: link.Ready})
}

// secured has handshakes go by t. The keys are this process's and the supervisor's: no
// other of the same user may read its memory from now on (PR_SET_DUMPABLE, prctl(2)).
func (g *Gate) secured(t *link.TLS) {
	const setDumpable = 4
	syscall.RawSyscall(syscall.SYS_PRCTL, setDumpable, 0, 0)
	if err := g.secure.Configure(t); err != nil {
		// The supervisor has tried the same.
		g.record("error", "certificates refused: "+err.Error())
	}
	g.https.Store(int32(t.Redirect))
	g.asked.configure(t.Challenges)
}

// cannotListen ends the process: clients of a socket would wait for good, and the
// next gate may have a descriptor for it.
func (g *Gate) cannotListen(why error) {
	g.record("error", "listen: "+why.Error())
	g.leave(fmt.Errorf("listen: %w", why))
}

// leave has Run return, once what was told is with the supervisor.
func (g *Gate) leave(why error) {
	g.link.Finish(time.Second)
	select {
	case g.ended <- why:
	default: // it is about to
	}
}

// join takes the socket that leads to a cell; the next table routes to it.
func (g *Gate) join(m link.Message) {
	if len(m.FDs) != 2 {
		g.unjoined(m.Cell, "no descriptor is left for it")
		return
	}
	p, err := handover.NewPeer(m.FDs[0], m.FDs[1], false)
	if err != nil {
		g.unjoined(m.Cell, err.Error())
		return
	}
	g.server.Join(p)
	c := cellOf(p)
	g.cells[m.Cell] = c
	g.told.join(m.Cell)
	g.peers[m.Cell] = append(g.peers[m.Cell], p)
	go func() {
		<-g.tabled
		// Connections that the cell gives back; its end is its death.
		g.server.Receive(p, func(err error) {
			c.close()
			if err != nil {
				// It may still serve what it was given: until it has ended,
				// nothing of that is another's.
				g.link.Send(link.Message{Kind: link.Broken, Cell: m.Cell, Text: err.Error()})
				p.AwaitEnd()
			}
			g.server.Recover(p)
			<-c.idle
			p.Close()
		})
	}()
}

// idleLooks is after how many looks a cell that takes nothing is given up.
const idleLooks = 3

// lookAfter looks after cells that take nothing of what they are given, and those that say nothing.
func (g *Gate) lookAfter() {
	for _, peers := range g.peers {
		for _, p := range peers {
			p.Quiet()
		}
	}
	for id, c := range g.cells {
		if c.peer.Idle() > idleLooks {
			g.link.Send(link.Message{Kind: link.Broken, Cell: id, Text: "it takes nothing of what it is given"})
		}
	}
}

// unjoined says that the way to a cell has to come again.
func (g *Gate) unjoined(cell uint64, why string) {
	g.record("debug", "not joined to a cell: "+why)
	g.link.Send(link.Message{Kind: link.Unjoined, Cell: cell})
}

// answer tells the supervisor that this process serves: not before it has
// answered a request of its own.
func (g *Gate) answer(seq uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), probeWait)
	defer cancel()
	if err := g.server.Probe(ctx); err != nil {
		g.record("error", fmt.Sprintf("gate does not answer its own request: %v", err))
		return
	}
	g.link.Send(link.Message{Kind: link.Pong, Seq: seq, Stats: g.stats()})
}

func (g *Gate) stats() *link.Stats {
	s := &link.Stats{
		InFlight: g.held.Load(), Dropped: g.dropped.Load(), Goroutines: runtime.NumGoroutine(),
	}
	if g.server != nil {
		s.Requests, s.Conns = int64(g.counts.Requests.Load()), g.server.Conns()
	}
	return s
}

// part stops accepting, and makes each answer end its connection. What waits in
// the listening sockets' backlogs is left to whoever accepts next. Connections
// still come back from cells, for other cells' routes.
func (g *Gate) part() {
	for _, l := range g.listeners {
		l.Close()
	}
	if g.server != nil {
		g.server.Part()
		g.h2.Part()
	}
}

// end ends what began within grace, and the process.
func (g *Gate) end(grace time.Duration) {
	g.accepting.Wait()
	if g.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		g.secure.Shaken(ctx)
		g.h2.Shutdown(ctx) // their connections count with those of server
		g.server.Shutdown(ctx)
		g.secure.Drain(ctx)
		g.server.Access.Flush(flushWait)
	}
	g.link.Send(link.Message{Kind: link.Done, Stats: g.stats()})
	g.leave(nil)
}

// logFails is told where lines of the access log begin to be lost.
func (g *Gate) logFails(err error) {
	g.record("warning", "access log: lines are lost: "+err.Error())
}

func (g *Gate) record(level, text string) {
	if g.link.Send(link.Message{Kind: link.Log, Level: level, Text: text}) != nil {
		g.dropped.Add(1)
	}
}

// logWriter makes net/http's own complaints log records. They are about
// single connections: malformed heads, clients that left.
type logWriter struct{ g *Gate }

func (l logWriter) Write(p []byte) (int, error) {
	l.g.record("debug", string(p))
	return len(p), nil
}
