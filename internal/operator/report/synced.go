package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/operator/artifact"
	"github.com/andrestc/go-plugserver/internal/operator/terminal"
)

// follows tells of a desired state that the handlers directory follows.
func follows(s api.Sync, now time.Time) string {
	text := fmt.Sprintf("sync %s: %s of %s", s.Name, Handlers(s.Handlers), s.Ref)
	if s.OK {
		return text + fmt.Sprintf(", in agreement %s ago", terminal.Age(s.Tried, now))
	}
	text += ", not in agreement"
	if !s.Agreed.IsZero() {
		text += fmt.Sprintf(" since %s ago", terminal.Age(s.Agreed, now))
	}
	why := s.Problem
	for _, name := range slices.Sorted(maps.Keys(s.Refused)) {
		why = cmp.Or(why, name+": "+s.Refused[name].Reason)
	}
	return strings.TrimSuffix(text+": "+why, ": ")
}

// Origin tells where a handler's file came from.
func Origin(o *api.Origin) string {
	text := fmt.Sprintf("%s, %s, as version %s, by the sync %s", o.Ref, o.Digest, artifact.Short(o.File), o.Sync)
	if o.Agreed.IsZero() {
		return text + ", which was never in agreement"
	}
	return text + ", which was last in agreement at " + o.Agreed.UTC().Format(time.RFC3339)
}

// Handlers is so many of them.
func Handlers(n int) string {
	if n == 1 {
		return "1 handler"
	}
	return fmt.Sprintf("%d handlers", n)
}
