package canary

import (
	"fmt"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/counter"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

// Tells tells of a canary how it does.
func Tells(h api.Handler) string {
	c := h.Canary
	if c == nil {
		return fmt.Sprintf("version %s has a part of the requests", h.Version)
	}
	whole := func(part float64) int { return int(part*link.Whole + 0.5) }
	gets := Terms{Weight: whole(c.Weight), Mirror: whole(c.Mirror), Sticky: link.Sticky(c.Sticky), Field: c.Field}
	text := fmt.Sprintf("version %s has %s of %s, beside version %s; %s, the incumbent %s; ", h.Version, gets.words(","), c.Of, c.Incumbent, figures(c.Counted), figures(c.Beside))
	switch {
	case c.Promoting:
		text += "it is being promoted"
	case c.Awaits != "":
		text += "its time is over, and it awaits " + c.Awaits
	case c.Ends.IsZero():
		text += "an operator decides"
	default:
		text += "it is promoted at " + c.Ends.UTC().Format(time.RFC3339) + ", where nothing speaks against it"
	}
	if len(c.NotServed) > 0 {
		text += "; not served before: " + strings.Join(c.NotServed, ", ")
	}
	return text
}

func figures(f api.Figures) string {
	text := fmt.Sprintf("%d requests", f.Requests)
	if f.Requests > 0 {
		text += fmt.Sprintf(", %d failed, p50 %s, p99 %s", f.Errors, counter.AtMost(seconds(f.P50)), counter.AtMost(seconds(f.P99)))
	}
	if f.Open > 0 {
		text += fmt.Sprintf(", %d open", f.Open)
	}
	return text
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}
