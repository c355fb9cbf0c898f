package gate

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// run runs a gate in this process, and returns the supervisor's end of its link.
func run(t *testing.T) (*link.Conn, <-chan error) {
	t.Helper()
	t.Setenv("GOMAXPROCS", "of the test")
	t.Setenv("GOGC", "of the test")
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	supervisor, err := link.New(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(supervisor.Close)
	lc, err := link.New(theirs)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Run(lc) }()
	return supervisor, ended
}

// Run returns: nil where it was told to end, or left alone, and else why it cannot
// go on. The process is the caller's to end.
func TestRunReturns(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(supervisor *link.Conn)
		fail bool
	}{
		"told to end":   {func(s *link.Conn) { s.Send(link.Message{Kind: link.Quit, Grace: time.Second}) }, false},
		"left alone":    {func(s *link.Conn) { s.Close() }, false},
		"cannot listen": {func(s *link.Conn) { s.Send(link.Message{Kind: link.Listen}) }, true},
		"told to end twice": {func(s *link.Conn) {
			s.Send(link.Message{Kind: link.Quit, Grace: time.Second})
			s.Send(link.Message{Kind: link.Quit, Grace: time.Second})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			supervisor, ended := run(t)
			supervisor.Send(link.Message{Kind: link.Open})
			tt.do(supervisor)
			if err := <-ended; (err != nil) != tt.fail {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// Once its process has ended nothing more is awaited of a cell, though its end of the
// way may be open elsewhere: in a process that it left behind, or on its way to here.
func TestGone(t *testing.T) {
	supervisor, ended := run(t)
	supervisor.Send(link.Message{Kind: link.Open})
	ours, theirs, err := wire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	page, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := page.Truncate(handover.PageSize); err != nil {
		t.Fatal(err)
	}
	supervisor.Send(link.Message{Kind: link.Join, Cell: 7, FDs: []*os.File{ours, page}})
	supervisor.Send(link.Message{Kind: link.Table, Version: 1})
	supervisor.Send(link.Message{Kind: link.Gone, Cell: 7})
	nc, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := nc.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the gate has not given it up: %d, %v", n, err)
	}
	supervisor.Send(link.Message{Kind: link.Quit})
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}
