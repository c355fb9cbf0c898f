package cell

import (
	"log/slog"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/wire"
)

// Run returns where it was told to end, or left alone. The process is the caller's to
// end.
func TestRunReturns(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, do := range map[string]func(supervisor *link.Conn){
		"told to end":    func(s *link.Conn) { s.Send(link.Message{Kind: link.Quit, Grace: time.Second}) },
		"told to retire": func(s *link.Conn) { s.Send(link.Message{Kind: link.Retire, Grace: time.Second}) },
		"left alone":     func(s *link.Conn) { s.Close() },
		"opens nothing well": func(s *link.Conn) {
			s.Send(link.Message{Kind: link.Open, Cell: 1, Plugins: []link.Plugin{{Name: "a", Path: "/no/such.so"}}})
			if m, err := s.Recv(); err != nil || m.Kind != link.Refused || m.Name != "a" {
				t.Errorf("it said %+v, %v", m, err)
			}
			s.Send(link.Message{Kind: link.Quit, Grace: time.Second})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, err := wire.Pair()
			if err != nil {
				t.Fatal(err)
			}
			supervisor, err := link.New(ours)
			if err != nil {
				t.Fatal(err)
			}
			defer supervisor.Close()
			lc, err := link.New(theirs)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- Run(lc) }()
			do(supervisor)
			if err := <-ended; err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}
