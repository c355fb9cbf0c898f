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

// counted is what a handler has done, as far as it is judged by that: copied says that a canary gets copies, so that only the
// methods count of which there are some. What was lost with a process does not count: a canary that crashes is judged by that, and
// a version of before that is still ending what it began is under the same name.
func counted(book *sums.Book, name string, copied bool) (c analysis.Counts) {
	s := book.Handler(name)
	if s == nil {
		return c
	}
	c.Open = s.InFlight
	bySecond := book.BySecond(name)
	for second := range c.BySecond {
		c.BySecond[second] = bySecond.At(int64(second), copied)
	}
	for m := range s.Requests {
		if copied && !counter.Mirrored(counter.Methods[m]) {
			continue
		}
		for code, times := range s.Requests[m] {
			for bucket, n := range times {
				switch code {
				case hijacked:
					continue
				case serverErrors:
					c.Errors += n
				default:
					c.Times[bucket] += n
				}
				c.Requests += n
			}
		}
	}
	return c
}
