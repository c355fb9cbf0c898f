package canaries

import (
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/daemon/analysis"
	"github.com/andrestc/go-plugserver/internal/daemon/sums"
)

// The classes of status codes that matter (counter.Codes).
const (
	serverErrors = 5
	hijacked     = counter.Hijacked / 100 // what takes as long as its client likes
)

// counted is what a handler has done, as far as it is judged by that.
func counted(s *sums.Sum) (c analysis.Counts) {
	if s == nil {
		return c
	}
	for m := range s.Requests {
		for code, times := range s.Requests[m] {
			for bucket, n := range times {
				switch code {
				case hijacked:
					continue
				case serverErrors:
				default:
					c.Times[bucket] += n
				}
				c.Requests += n
			}
		}
	}
	c.Errors = s.Errors()
	c.Requests += s.Lost
	return c
}
