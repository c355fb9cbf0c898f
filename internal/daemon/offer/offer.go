// Package offer is what a cell says of its plugins, checked: it is foreign input.
package offer

import (
	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/between/refusal"
)

// Offer is what a cell says of one plugin.
type Offer struct {
	Patterns []string // sorted, each once
	Size     int      // of their routes in a message, in bytes
	Refused  *refusal.Error
}

// Examine checks what a cell offers, by the names of its plugins. It is foreign
// input, and may be much: this is done beside the owner's goroutine.
func Examine(plugins []link.Plugin, lim link.Limits) map[string]Offer {
	offers := make(map[string]Offer, len(plugins))
	for _, p := range plugins {
		var o Offer
		o.Patterns, o.Refused = lim.Mux.Offered(p.Name, p.Patterns, lim.MaxPatterns, lim.MaxPatternBytes)
		for _, pattern := range o.Patterns {
			o.Size += link.RouteSize(pattern)
		}
		offers[p.Name] = o
	}
	return offers
}
