package canary

import (
	"fmt"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/link"
)

// Tells tells of a canary how it does.
func Tells(h api.Handler) string {
	c := h.Canary
	if c == nil {
		return fmt.Sprintf("version %s has a part of the requests", h.Version)
	}
	var gets []string
	if c.Weight > 0 {
		gets = append(gets, Percent(int(c.Weight*link.Whole+0.5))+" of the requests"+sticky(*c))
	}
	if c.Mirror > 0 {
		gets = append(gets, "copies of "+Percent(int(c.Mirror*link.Whole+0.5))+" of the safe ones")
	}
	text := fmt.Sprintf("version %s has %s of %s, beside version %s; %s, the incumbent %s; ", h.Version, strings.Join(gets, " and "), c.Of, c.Incumbent, figures(c.Counted), figures(c.Beside))
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

func sticky(c api.Canary) string {
	switch c.Sticky {
	case "":
		return ""
	case "ip":
		return ", by the client's address,"
	}
	return fmt.Sprintf(", by the %s %s,", c.Sticky, c.Field)
}

func figures(f api.Figures) string {
	text := fmt.Sprintf("%d requests", f.Requests)
	if f.Requests > 0 {
		text += fmt.Sprintf(", %d failed, p50 %v, p99 %v", f.Errors, seconds(f.P50), seconds(f.P99))
	}
	return text
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond)
}
