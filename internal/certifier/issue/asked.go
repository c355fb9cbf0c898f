package issue

import (
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// asked are the challenges that are open, which the gate answers. It is an acmez.Solver.
type asked struct {
	link *link.Conn

	mu      sync.Mutex                // guards the rest, and the order of what is sent
	open    map[string]link.Challenge // by kind and token
	seq     uint64
	waiting map[uint64]chan struct{} // for the gate
}

// gateWait is how long the gate may take.
const gateWait = 30 * time.Second

// Present returns once the gate answers the challenge: the authority asks at once.
func (a *asked) Present(ctx context.Context, c acme.Challenge) error {
	answer, err := answerTo(c)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.open[c.Type+c.Token] = answer
	answers := make(chan struct{})
	a.tell()
	a.waiting[a.seq] = answers
	a.mu.Unlock()
	timer := time.NewTimer(gateWait)
	defer timer.Stop()
	select {
	case <-answers:
		return nil
	case <-timer.C:
		return errors.New("the gate does not say that it answers the authority")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CleanUp ends what Present began.
func (a *asked) CleanUp(_ context.Context, c acme.Challenge) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, c.Type+c.Token)
	a.tell()
	return nil
}

// tell tells what is open. The lock is held.
func (a *asked) tell() {
	a.seq++
	a.link.Send(link.Message{Kind: link.Asked, Seq: a.seq, Challenges: slices.Collect(maps.Values(a.open))})
}

// answered says that the gate answers all that was told as seq.
func (a *asked) answered(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, answers := range a.waiting {
		if n <= seq {
			close(answers)
			delete(a.waiting, n)
		}
	}
}

func answerTo(c acme.Challenge) (link.Challenge, error) {
	if c.Type == acme.ChallengeTypeHTTP01 {
		return link.Challenge{Domain: c.Identifier.Value, Token: c.Token, Answer: c.KeyAuthorization}, nil
	}
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return link.Challenge{}, err
	}
	key, err := certmagic.PEMEncodePrivateKey(cert.PrivateKey)
	if err != nil {
		return link.Challenge{}, err
	}
	return link.Challenge{Domain: c.Identifier.Value, Pair: &link.Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), Key: key,
	}}, nil
}
