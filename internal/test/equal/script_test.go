package equal

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A script is what a client does, step by step. When it is over the client
// waits for the server's end of the connection, or for quiet.
type script struct {
	name  string
	steps []step
	// events is how many handlers tell in the case's file that they are over.
	events int
	// coarse says that how many bytes arrive is the kernel's to decide: the
	// first line is compared alone.
	coarse bool
	// faulty says that the case is known to differ.
	faulty bool
	// tight has it played against the servers with the tight limits.
	tight bool
}

type step struct {
	do   action
	text string
	d    time.Duration
}

type action byte

const (
	doSend   action = iota // text; $ID stands for the case's file
	doPause                // d
	doAwait                // until text was received, after what was awaited before
	doEvent                // until the case's file has text
	doSignal               // make the case's file text
	doHalf                 // shut down the sending side
	doReset                // close with RST
	doClose                // close
	doDeaf                 // receive nothing
	doHear                 // receive again
)

func send(text string) step        { return step{do: doSend, text: text} }
func pause(d time.Duration) step   { return step{do: doPause, d: d} }
func await(text string) step       { return step{do: doAwait, text: text} }
func awaitEvent(text string) step  { return step{do: doEvent, text: text} }
func signalStep(text string) step  { return step{do: doSignal, text: text} }
func only(do action) step          { return step{do: do} }
func steps(s ...step) []step       { return s }
func sends(texts ...string) []step { return spaced(2*time.Millisecond, texts...) }

// spaced sends each text as a segment of its own.
func spaced(d time.Duration, texts ...string) (s []step) {
	for i, text := range texts {
		if i > 0 {
			s = append(s, pause(d))
		}
		s = append(s, send(text))
	}
	return s
}

// inSegments returns the script with its long texts cut into some pieces, anywhere.
func (s script) inSegments() script {
	cut := make([]step, 0, len(s.steps))
	for _, st := range s.steps {
		if st.do != doSend || len(st.text) <= 4<<10 {
			cut = append(cut, st)
			continue
		}
		cut = append(cut, spaced(time.Duration(rand.IntN(1000))*time.Microsecond, pieces(st.text, 2+rand.IntN(7), rand.Uint64())...)...)
	}
	s.steps = cut
	return s
}

// atOnce returns the script without the pauses between two texts, which a busy
// server sees as one.
func (s script) atOnce() script {
	var all []step
	for i, st := range s.steps {
		between := i > 0 && i+1 < len(s.steps) && s.steps[i-1].do == doSend && s.steps[i+1].do == doSend
		if st.do != doPause || !between || st.d > 10*time.Millisecond {
			all = append(all, st)
		}
	}
	s.steps = all
	return s
}

// transcript is what came of a script.
type transcript struct {
	got    string // all bytes received; dates, addresses and the case's name are masked
	end    string // FIN, RST, open; left where the client has closed
	events string
	marks  []int // bytes received after each step that waited
	// awaited is how many bytes were waited for, of a play of the product.
	awaited int
}

const (
	// quiet is how long a server that says no more is listened to.
	quiet = 300 * time.Millisecond
	// patient is how long one is that has said less than the reference, resigned
	// how long where that is known.
	patient, resigned = 20 * time.Second, 4 * time.Second
)

// player plays one script once.
type player struct {
	script  script
	addr    string
	events  string // the folder of the case's file
	id      string
	prior   *transcript // what the reference did, nil for the reference itself
	quiet   time.Duration
	nc      *net.TCPConn
	stream  net.Conn      // what is spoken over it: nc itself, or TLS
	gate    chan struct{} // closed where the client receives
	marks   []int
	mu      sync.Mutex
	got     []byte
	err     error
	changed chan struct{} // closed and replaced
	awaited int
	left    bool
}

var plays atomic.Int64

// play plays the script against the server. prior is the reference's transcript.
func play(s script, srv server, prior *transcript, quiet time.Duration) (transcript, error) {
	p := &player{
		script: s, addr: srv.addr, events: srv.events, prior: prior, quiet: quiet,
		id: fmt.Sprintf("case%08d", plays.Add(1)), gate: make(chan struct{}), changed: make(chan struct{}),
	}
	nc, err := net.DialTimeout("tcp", p.addr, 10*time.Second)
	if err != nil {
		return transcript{}, err
	}
	p.nc = nc.(*net.TCPConn)
	defer p.nc.Close()
	p.stream = p.nc
	if srv.tls != nil {
		secure := tls.Client(p.nc, srv.tls)
		p.nc.SetDeadline(time.Now().Add(patient))
		if err := secure.Handshake(); err != nil {
			return transcript{}, err
		}
		p.nc.SetDeadline(time.Time{})
		p.stream = secure
	}
	if len(s.steps) == 0 || s.steps[0].do != doDeaf {
		close(p.gate)
	}
	go p.receive(p.gate)
	for _, st := range s.steps {
		p.step(st)
	}
	t := transcript{end: "left"}
	if !p.left {
		p.wait(func([]byte) bool { return false })
		t.end = p.ending()
	}
	local := p.nc.LocalAddr().String()
	p.nc.Close()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
	p.mu.Lock()
	if p.left {
		p.got = p.got[:p.awaited] // what came beside is chance
	}
	t.got = mask(string(p.got), p.id, local, p.addr)
	p.mu.Unlock()
	t.marks = p.marks
	t.events = mask(p.awaitEvents(), p.id, local, p.addr)
	return t, nil
}

var date = regexp.MustCompile(`(?m)^(Date|Last-Modified): [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r$`)

func mask(text, id, client, server string) string {
	text = date.ReplaceAllString(text, "$1: masked\r")
	return strings.NewReplacer(id, "CASE", client, "CLIENT", server, "SERVER").Replace(text)
}

func (p *player) step(s step) {
	if p.left && s.do != doEvent && s.do != doSignal {
		return
	}
	switch s.do {
	case doSend:
		p.nc.SetWriteDeadline(time.Now().Add(patient))
		io.WriteString(p.stream, strings.ReplaceAll(s.text, "$ID", p.id)) // the end says what failed
	case doPause:
		time.Sleep(s.d)
	case doAwait:
		p.wait(func(got []byte) bool {
			if i := bytes.Index(got[p.awaited:], []byte(s.text)); i >= 0 {
				p.awaited += i + len(s.text)
				return true
			}
			return false
		})
	case doEvent:
		for end := time.Now().Add(p.patience()); !strings.Contains(p.readEvents(), s.text) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	case doSignal:
		os.WriteFile(filepath.Join(p.events, p.id+"-"+s.text), nil, 0o644)
	case doHalf:
		p.stream.(interface{ CloseWrite() error }).CloseWrite()
	case doReset:
		p.nc.SetLinger(0)
		p.leave()
	case doClose:
		p.leave()
	case doHear:
		close(p.gate)
	}
}

func (p *player) leave() {
	p.left = true
	p.nc.Close()
}

// receive notes all that comes, once the gate is open.
func (p *player) receive(gate chan struct{}) {
	<-gate
	buf := make([]byte, 64<<10)
	for {
		n, err := p.stream.Read(buf)
		p.mu.Lock()
		p.got = append(p.got, buf[:n]...)
		p.err = err
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wait returns once done holds, the server has ended the connection, or it is
// quiet. It is not called quiet before it has done what the reference did.
func (p *player) wait(done func([]byte) bool) {
	want, wantEnd := 0, false
	if i := len(p.marks); p.prior != nil && i < len(p.prior.marks) {
		want = p.prior.marks[i]
		wantEnd = i == len(p.prior.marks)-1 && p.prior.end != "open" && p.prior.end != "left"
	}
	began := time.Now()
	for {
		p.mu.Lock()
		met, ended, n, changed := done(p.got), p.err != nil, len(p.got), p.changed
		p.mu.Unlock()
		if met || ended {
			break
		}
		limit := p.quiet
		if n < want || wantEnd {
			limit = max(limit, p.patience()-time.Since(began))
		}
		timer := time.NewTimer(limit)
		select {
		case <-changed:
			timer.Stop()
			continue
		case <-timer.C:
		}
		break
	}
	p.mu.Lock()
	p.marks = append(p.marks, len(p.got))
	p.mu.Unlock()
}

func (p *player) patience() time.Duration {
	if p.script.faulty && p.prior != nil {
		return resigned
	}
	return patient
}

func (p *player) ending() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.err == nil:
		return "open"
	case errors.Is(p.err, io.EOF):
		return "FIN"
	case errors.Is(p.err, syscall.ECONNRESET):
		return "RST"
	}
	return p.err.Error()
}

func (p *player) readEvents() string {
	b, _ := os.ReadFile(filepath.Join(p.events, p.id))
	return string(b)
}

// awaitEvents returns what the handlers have told in the case's file. Which of
// several requests at the same time tells first is open: sorted.
func (p *player) awaitEvents() string {
	if p.script.events == 0 {
		return ""
	}
	for end := time.Now().Add(p.patience()); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if strings.Count(p.readEvents(), "over\n") >= p.script.events {
			break
		}
	}
	lines := strings.Split(p.readEvents(), "\n")
	slices.Sort(lines)
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
