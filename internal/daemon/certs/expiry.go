package certs

import (
	"fmt"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// Expiring are the certificates in force that have expired, or will within Ahead.
func (k *Keeper) Expiring(now time.Time) (soon []api.Certificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.names() {
		if p := k.pairs[n.id()]; p != nil && p.told.NotAfter.Sub(now) < Ahead {
			soon = append(soon, p.told)
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
