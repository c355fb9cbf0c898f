package certs

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// Expiring is a certificate in force that has expired, or will soon.
type Expiring struct {
	api.Certificate
	ACME bool // it has come by ACME
}

// Expiring are those that have expired, or will within Ahead. One that has come by ACME is
// renewed when a third of its time is left, whatever that is: it is one of them where that
// has not come about.
func (k *Keeper) Expiring(now time.Time) (soon []Expiring) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.names() {
		p := k.pairs[n.id()]
		if p == nil {
			continue
		}
		ahead := Ahead
		if n.acme {
			ahead = min(Ahead, p.lasts/4)
		}
		if p.told.NotAfter.Sub(now) < ahead {
			soon = append(soon, Expiring{p.told, n.acme})
		}
	}
	return soon
}

// Expiry says when a certificate does.
func Expiry(c api.Certificate, now time.Time) string {
	date := c.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	switch left := c.NotAfter.Sub(now); {
	case left <= 0:
		return "has expired on " + date
	case left < 48*time.Hour:
		return fmt.Sprintf("expires in %d hours, on %s", int(left/time.Hour), date)
	default:
		return fmt.Sprintf("expires in %d days, on %s", int(left/(24*time.Hour)), date)
	}
}
