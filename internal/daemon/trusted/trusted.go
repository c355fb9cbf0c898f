// Package trusted decides which versions may run, by their signatures, and remembers of which they held.
package trusted

import (
	"errors"
	"os"
	"sync"

	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/daemon/store"
	"github.com/andrestc/go-plugserver/internal/file/signature"
)

// Judge decides on a version of a handler's by its signature.
type Judge func(p signature.Policy, handler string, v store.Version) (signature.Signed, error)

// Keeper has the policy that is in force. Any goroutine may call its methods.
type Keeper struct {
	judge Judge

	mu     sync.Mutex // guards the rest
	policy signature.Policy
	// held are those whose signatures held, for as long as the policy is that: a copy in the store
	// is not written to.
	held    map[version]signature.Signed
	doubted bool // copies may be written to: each is judged whenever it is asked for
}

// version is one of a handler.
type version struct{ handler, sum, signature string }

// New returns a keeper. Copy is the judge of a machine.
func New(p signature.Policy, judge Judge) *Keeper { return &Keeper{judge: judge, policy: p} }

// Copy judges the copy in the store, the whole of which it reads.
func Copy(p signature.Policy, handler string, v store.Version) (signature.Signed, error) {
	f, err := os.Open(v.Path)
	if err != nil {
		return signature.Signed{}, err
	}
	defer f.Close()
	return p.Check(handler, f, v.Signature)
}

// Trust puts a policy in force, and reports whether it is another one. Versions that run already go on.
func (k *Keeper) Trust(p signature.Policy) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if changed = !k.policy.Equal(p); changed {
		k.policy, k.held = p, nil
	}
	return changed
}

// Policy is the one in force.
func (k *Keeper) Policy() signature.Policy {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.policy
}

// Doubt has every version be judged whenever it is asked for, and reports whether that was so.
func (k *Keeper) Doubt() (was bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, k.doubted, k.held = k.doubted, true, nil
	return was
}

// Doubted reports whether Doubt was called.
func (k *Keeper) Doubted() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.doubted
}

// Verify says whether a version of a handler may run, and what its signature says. It is judged once.
func (k *Keeper) Verify(handler string, v store.Version) (signature.Signed, error) {
	handler = canary.Incumbent(handler) // a canary is signed for the handler that it is to become
	of := version{handler, v.Sum, v.Signature}
	k.mu.Lock()
	p := k.policy
	said, ok := k.held[of]
	k.mu.Unlock()
	if ok || !p.On() || v.Signature == "" && !p.Require {
		return said, nil
	}
	said, err := k.judge(p, handler, v)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && !k.doubted && k.policy.Equal(p) {
		if k.held == nil {
			k.held = make(map[version]signature.Signed)
		}
		k.held[of] = said
	}
	return said, err
}

// Believe is Verify for a version that was admitted before: Untrusted is true of its refusal.
func (k *Keeper) Believe(handler string, v store.Version) error {
	_, err := k.Verify(handler, v)
	if r := new(refusal.Error); errors.As(err, &r) {
		return untrusted{r}
	}
	return err
}

// Untrusted reports whether an error is that a version must not run any more, by who is trusted now.
func Untrusted(err error) bool { return errors.As(err, new(untrusted)) }

type untrusted struct{ why *refusal.Error }

func (u untrusted) Error() string { return u.why.Error() }
func (u untrusted) Unwrap() error { return u.why }
