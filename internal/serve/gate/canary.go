package gate

import (
	"net/http"

	"github.com/andrestc/go-plugserver/internal/between/link"
	"github.com/andrestc/go-plugserver/internal/serve/handover"
	"github.com/andrestc/go-plugserver/internal/serve/split"
)

// also is the canary of a route, beside its owner, the incumbent.
type also struct {
	cell *cell
	rule *split.Rule // nil where there is no canary, or nothing is to be its
}

func (g *Gate) alsoOf(c link.Canary) also {
	if cell := g.cells[c.Cell]; cell != nil && c.Divides() {
		return also{cell, split.New(c, g.proxies)}
	}
	return also{}
}

// divided is dest where there is a canary. What is that one's the incumbent gets at once where the canary is
// gone; what is the incumbent's waits for it, while it is being started.
func (rt *route) divided(r *http.Request) (d handover.Dest, ok bool) {
	rule := rt.also.rule
	is := rule.Of(r, handover.Alternates(r))
	stays := is == split.Each
	if stays {
		is = rule.Draw()
	}
	if is == split.Canary {
		if d, ok = rt.canarys(); !ok {
			d, ok = rt.own()
			stays = true // its cell would send the connection back, until it is told
		}
	} else if d, ok = rt.own(); !ok && rt.down {
		d, ok = rt.canarys()
		stays = true
	} else if ok && rule.Copies() {
		d.Copy = &rt.also.cell.dest
	}
	d.Stays = stays || is == split.Incumbent && rule.Mirrors
	return d, ok
}

// canarys returns the canary's cell where there is one, and it takes the request.
func (rt *route) canarys() (handover.Dest, bool) {
	if rt.also.rule == nil || !rt.also.cell.enter() {
		return handover.Dest{}, false
	}
	return rt.also.cell.dest, true
}
