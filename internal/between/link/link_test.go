package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/between/wire"
)

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = New(fa); err != nil {
		t.Fatal(err)
	}
	if b, err = New(fb); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestMessagesArriveInOrderWithTheirFiles(t *testing.T) {
	a, b := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	sent := []Message{
		{Kind: Open, Plugins: []Plugin{{Name: "users", Path: "/x.so"}}, Limits: Limits{IdleTimeout: time.Minute}},
		{Kind: Table, Version: 3, Routes: []Route{{Pattern: "GET /users/{id}", Cell: 7}}},
		{Kind: Refused, Refusal: &refusal.Error{Reason: "r", Mend: "m"}},
		{Kind: Log, Level: "info", Text: "a\nb", Fields: map[string]string{"k": "v"}},
	}
	for _, m := range sent {
		if err := a.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	a.Send(Message{Kind: Join, FDs: []*os.File{r}})
	go a.Finish(time.Second)
	for _, want := range sent {
		got, err := b.Recv()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("received %+v, %v; want %+v", got, err, want)
		}
	}
	m, err := b.Recv()
	if err != nil || m.Kind != Join || len(m.FDs) != 1 {
		t.Fatalf("received %+v, %v", m, err)
	}
	io.WriteString(w, "x")
	if _, err := io.ReadFull(m.FDs[0], make([]byte, 1)); err != nil {
		t.Fatalf("the file that arrived is not the one that was sent: %v", err)
	}
	m.FDs[0].Close()
	if _, err := b.Recv(); err != io.EOF {
		t.Fatalf("after the last message: %v, want %v", err, io.EOF)
	}
	if err := a.Send(Message{Kind: Ping}); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("send on a closed link: %v", err)
	}
}

// A side that never reads costs the other a bounded backlog and no wait.
func TestSendNeverBlocks(t *testing.T) {
	a, _ := pair(t)
	big := Message{Kind: Log, Text: string(make([]byte, 64<<10))}
	for range 2 * backlog {
		if err := a.Send(big); err != nil {
			if !errors.Is(err, ErrBacklog) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the backlog has no bound")
}

// What was delivered arrives, whatever becomes of the process: it is in the
// socket by then.
func TestDelivered(t *testing.T) {
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	a, err := New(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	buf := make([]byte, 4096)
	for range 1000 {
		if err := a.Deliver(Message{Kind: Log, Text: "last words"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		n, _, err := syscall.Recvfrom(int(theirs.Fd()), buf, syscall.MSG_DONTWAIT)
		if err != nil || !strings.Contains(string(buf[:n]), "last words") {
			t.Fatalf("in the socket is %q, %v", buf[:n], err)
		}
	}
}

// A side that stands still holds up who delivers once, and not for long.
func TestDeliverToNobody(t *testing.T) {
	a, b := pair(t)
	const wait = 200 * time.Millisecond
	big := Message{Kind: Log, Text: strings.Repeat("x", 256<<10)}
	began := time.Now()
	for range 300 {
		if err := a.Deliver(big, wait); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < wait || took > 10*wait {
		t.Errorf("300 records that nobody reads took %v, want %v or little more", took, wait)
	}
	for range 300 {
		if _, err := b.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	// It reads again: what is delivered is waited for again.
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stalled {
		t.Error("the link is taken for stalled for good")
	}
}

// A side that ends has its last words heard, though it is being sent to.
func TestLastWordsAreHeard(t *testing.T) {
	for range 50 {
		a, b := pair(t)
		if err := b.Deliver(Message{Kind: Log, Text: "last words"}, time.Minute); err != nil {
			t.Fatal(err)
		}
		b.Close()
		a.Send(Message{Kind: Ping})
		<-a.done // the writer has found out
		if m, err := a.Recv(); err != nil || m.Text != "last words" {
			t.Fatalf("got %+v, %v", m, err)
		}
	}
}

// What cannot be sent for now is sent again; the link does not end for it.
func TestSendThatPasses(t *testing.T) {
	for _, errno := range []error{syscall.ETOOMANYREFS, syscall.ENOBUFS, syscall.ENOMEM} {
		ours, theirs, err := wire.Pair()
		if err != nil {
			t.Fatal(err)
		}
		wc, err := wire.FromFile(ours)
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(theirs)
		if err != nil {
			t.Fatal(err)
		}
		failures := 5
		a := &Conn{wire: wc, done: make(chan struct{}), send: func(kind byte, fds []int, parts ...[]byte) error {
			if failures--; failures >= 0 {
				return os.NewSyscallError("sendmsg", errno)
			}
			return wc.Send(kind, fds, parts...)
		}}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		a.Send(Message{Kind: Join, FDs: []*os.File{r}})
		a.Send(Message{Kind: Table, Version: 7})
		if m, err := b.Recv(); err != nil || m.Kind != Join || len(m.FDs) != 1 {
			t.Errorf("%v: received %+v, %v", errno, m, err)
		} else {
			m.FDs[0].Close()
		}
		if m, err := b.Recv(); err != nil || m.Version != 7 || a.Err() != nil {
			t.Errorf("%v: received %+v, %v; %v", errno, m, err, a.Err())
		}
		w.Close()
		a.Close()
		b.Close()
	}
}

// However much is logged, there is room for an answer.
func TestAnswersAmongLogs(t *testing.T) {
	a, _ := pair(t)
	big := Message{Kind: Log, Text: string(make([]byte, 64<<10))}
	for a.Send(big) == nil {
	}
	if err := a.Send(Message{Kind: Ack, Version: 1}); err != nil {
		t.Errorf("an answer behind the logs: %v", err)
	}
}

// A link whose other side is gone says so, and leaks nothing that is sent.
func TestSendAfterTheEnd(t *testing.T) {
	a, b := pair(t)
	b.Close()
	end := time.Now().Add(10 * time.Second)
	for {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		err = a.Send(Message{Kind: Join, FDs: []*os.File{w}})
		if errors.Is(err, os.ErrClosed) {
			r.Close()
			break
		}
		// Whatever becomes of the message, its file is closed: sent to nobody.
		r.SetReadDeadline(end)
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("the file that was sent: %v", err)
		}
		r.Close()
		if time.Now().After(end) {
			t.Fatal("no error")
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := json.Marshal(Message{Kind: Table, Routes: []Route{{Pattern: "/", Cell: 1}}, Stats: &Stats{}, Refusal: &refusal.Error{}})
	f.Add(b)
	f.Add([]byte(`{"kind":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			return
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(b); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

// A record is bounded once and for all: the other side counts no field as lost
// that is not.
func TestBounded(t *testing.T) {
	m := Message{Kind: Log, Text: strings.Repeat("é", 1<<20), Fields: map[string]string{"long": strings.Repeat("x", 1<<20), strings.Repeat("k", 1<<20): "v"}}
	for i := range 5000 {
		m.Fields[fmt.Sprint("f", i)] = "v"
	}
	b := m.Bounded()
	if len(b.Text) > maxText+100 || !utf8.ValidString(b.Text) || len(b.Fields) != maxFields || b.Fields["dropped_fields"] != "4903" {
		t.Errorf("a text of %d bytes, %d fields, %s dropped", len(b.Text), len(b.Fields), b.Fields["dropped_fields"])
	}
	for k, v := range b.Fields {
		if len(k) > maxKey+100 || len(v) > maxText+100 {
			t.Errorf("a field of %d bytes named in %d", len(v), len(k))
		}
	}
	if again := b.Bounded(); !reflect.DeepEqual(again.Fields, b.Fields) {
		t.Errorf("bounded again it has %d fields, %s dropped", len(again.Fields), again.Fields["dropped_fields"])
	}
	if m := (Message{Kind: Log, Text: "short", Fields: map[string]string{"k": "v"}}); !reflect.DeepEqual(m.Bounded(), m) {
		t.Errorf("%+v became %+v", m, m.Bounded())
	}
	if n := len(b.Line()); n > 50<<10 {
		t.Errorf("a line of %d bytes", n)
	}
}

// What RouteSize says is no less than what a route takes.
func TestRouteSize(t *testing.T) {
	for _, p := range []string{"/", "/<<<&>\"\\", "/é\u2028", "/\x01\x7f", "GET /{x...}", strings.Repeat("/\u2029<", 100)} {
		b, err := json.Marshal(Route{Pattern: p, Cell: 1<<64 - 1, Down: true, Hold: 24 * time.Hour})
		if err != nil || len(b)+1 > RouteSize(p) {
			t.Errorf("%q takes %d bytes, %d were said, %v", p, len(b)+1, RouteSize(p), err)
		}
	}
	c := Canary{Cell: 1<<64 - 1, Weight: Whole, Sticky: StickyCookie, Field: "<s>", Seed: 1<<64 - 1, Mirror: Whole}
	with, err := json.Marshal(Route{Pattern: "/", Canary: c})
	if without, _ := json.Marshal(Route{Pattern: "/"}); err != nil || len(with)-len(without) > c.Size() || (Canary{}).Size() != 0 {
		t.Errorf("a canary takes %d bytes, %d were said, %v", len(with)-len(without), c.Size(), err)
	}
}

// A message that makes no sense is the last, and what came behind it is closed.
func TestNonsenseIsTheLast(t *testing.T) {
	fa, fb, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(fb)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Descriptors may come in one piece with the bytes before their frame.
	for _, m := range []struct {
		bytes string
		oob   []byte
	}{
		{"\x00\x00\x00\x01m\x00\x50\x53{", nil},
		{"\x00\x00\x00\x02m\x01\x50\x53{}", syscall.UnixRights(int(w.Fd()))},
	} {
		if err := syscall.Sendmsg(int(fa.Fd()), []byte(m.bytes), m.oob, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	if m, err := c.Recv(); err == nil {
		t.Fatalf("received %+v", m)
	}
	c.Close()
	fa.Close()
	r.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a descriptor is open: %d, %v", n, err)
	}
}
