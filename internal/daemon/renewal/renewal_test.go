package renewal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/event"
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/acme"
	"github.com/sirupsen/logrus"
)

// certifierRole has this binary be a certifier, which adds a byte to the file that it names.
const certifierRole = "RENEWAL_TEST_CERTIFIER"

func TestMain(m *testing.M) {
	if file := os.Getenv(certifierRole); file != "" {
		certify(file)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// certify does what the directory says that it is told of.
func certify(file string) {
	if f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
		f.WriteString(".")
		f.Close()
	}
	lc, err := link.New(os.NewFile(link.ChildFD, "link"))
	if err != nil {
		panic(err)
	}
	for {
		m, err := lc.Recv()
		if err != nil {
			return
		}
		switch {
		case m.Kind == link.Certify && m.ACME.Directory == "dies":
			os.Exit(7)
		case m.Kind == link.Certify && m.ACME.Directory == "refuses":
			for n := range 3 {
				lc.Send(link.Message{Kind: link.Certified, Name: m.ACME.Domains[0], Refusal: &refusal.Error{Reason: fmt.Sprint("no ", n), Mend: "do so"}, Grace: time.Minute})
			}
		case m.Kind == link.Certify:
			lc.Send(link.Message{Kind: link.Log, Text: "started"})
			lc.Send(link.Message{Kind: link.Asked, Seq: 3, Challenges: []link.Challenge{{Domain: m.ACME.Domains[0], Token: m.ACME.EABKey}}})
		case m.Kind == link.Answers && m.Seq == 3:
			lc.Send(link.Message{Kind: link.Certified, Name: "a.example", Text: "obtained"})
			lc.Send(link.Message{Kind: link.Certified, Name: "a.example", Text: "renewed"})
			lc.Send(link.Message{Kind: link.Certified, Name: "a.example"})
			lc.Send(link.Message{Kind: link.Log, Text: "all is said"})
		}
	}
}

// world is a Renewal with all that it tells, a line each.
type world struct {
	*Renewal
	told chan string
	runs string // the file with a byte for each certifier
}

func newWorld(t *testing.T, certifier string, want acme.Settings) *world {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.DebugLevel)
	w := &world{told: make(chan string, 99), runs: filepath.Join(t.TempDir(), "runs")}
	t.Setenv(certifierRole, w.runs)
	log.AddHook(w)
	w.Renewal = New(Config{
		Certifier: certifier, Dir: filepath.Join(t.TempDir(), "acme"), Log: log, Certs: w,
		Alive: func(context.Context) error { w.told <- "alive"; return nil },
	})
	w.Configure(want) // as it is at the daemon's start
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); all.Wait() })
	return w
}

func (w *world) Listens() bool    { return true }
func (w *world) InTheClear() bool { return true }

func (w *world) Secret(file string) (string, error) {
	if file != "/eab" {
		return "", errors.New("there is no " + file)
	}
	return "secret", nil
}

func (w *world) Answer(open []link.Challenge) {
	for _, c := range open {
		w.told <- "answer " + c.Domain + " " + c.Token
	}
}

func (w *world) Came(domain string, failed *refusal.Error) {
	text := "came " + domain
	if failed != nil {
		text += ": " + failed.Error()
	}
	w.told <- text
}

func (w *world) Levels() []logrus.Level { return logrus.AllLevels }

func (w *world) Fire(e *logrus.Entry) error {
	text := e.Message
	if what, ok := e.Data[event.Field]; ok {
		text = fmt.Sprintf("event %v of %v", what, e.Data["domain"])
	}
	w.told <- text
	return nil
}

// next checks what is told next.
func (w *world) next(t *testing.T, want ...string) {
	t.Helper()
	for _, says := range want {
		select {
		case got := <-w.told:
			if !strings.HasPrefix(got, says) {
				t.Errorf("told %q, want %q", got, says)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%q is not told", says)
		}
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The certifier asks the authority once its challenges are answered, and each certificate is
// one event.
func TestCertificates(t *testing.T) {
	w := newWorld(t, self(t), acme.Settings{On: true, Domains: []string{"a.example"}, Directory: "good", EABKeyID: "1", EABKey: "/eab"})
	w.next(t, "certifier: started", "answer a.example secret", "alive", "came a.example", "event certificate_obtained of a.example", "came a.example", "event certificate_renewed of a.example", "came a.example", "certifier: all is said")
	if info, err := os.Stat(w.cfg.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
	if runs, err := os.ReadFile(w.runs); string(runs) != "." {
		t.Errorf("%d certifiers were started (%v), want one", len(runs), err)
	}
}

// A failure is one event as long as its fix is the same; a reload tries again, and tells
// again.
func TestFailures(t *testing.T) {
	want := acme.Settings{On: true, Domains: []string{"a.example"}, Directory: "refuses"}
	w := newWorld(t, self(t), want)
	all := []string{"came a.example: no 0; do so; it is tried again in 1m0s, and at a reload", "event certificate_failed of a.example", "came a.example: no 1; do so", "came a.example: no 2; do so"}
	w.next(t, all...)
	w.Configure(want)
	w.next(t, "came a.example")
	w.next(t, all...)
	want.Directory = "good"
	w.Configure(want)
	w.next(t, "came a.example", "certifier: started", "answer a.example", "alive", "came a.example", "event certificate_obtained of a.example")
	for range 4 { // the rest
		<-w.told
	}
	w.Configure(want) // nothing has failed, and nothing is new
	w.Configure(acme.Settings{})
	select {
	case got := <-w.told:
		t.Errorf("told %q", got)
	case <-time.After(10 * time.Millisecond):
	}
}

// Without a certifier there is a reason and a fix, and it is started again.
func TestNoCertifier(t *testing.T) {
	for _, tt := range []struct {
		name, certifier string
		want            acme.Settings
		says            string
	}{
		{"it dies", self(t), acme.Settings{Directory: "dies"}, "came a.example: the certifier has ended: exit status 7; if it happens again, report it"},
		{"there is none", "/no/such", acme.Settings{}, "came a.example: the certifier cannot be started: start \"/no/such\": "},
		{"no key of the authority's", self(t), acme.Settings{EABKeyID: "1", EABKey: "/lost"}, "came a.example: EABKey=: there is no /lost; have the authority's key there; it is tried again in 1s"},
	} {
		tt.want.On, tt.want.Domains = true, []string{"a.example"}
		w := newWorld(t, tt.certifier, tt.want)
		w.next(t, tt.says, "event certificate_failed of a.example", tt.says[:40])
	}
}
