package page

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/andrestc/go-plugserver/internal/between/api"
	"github.com/andrestc/go-plugserver/internal/between/canary"
	"github.com/andrestc/go-plugserver/internal/daemon/rates"
)

// view is what the page tells of.
type view struct {
	now      time.Time
	status   api.Status
	versions map[string][]api.Past
	rates    map[string]rates.Handler
	events   []api.Event
}

// shown is what stands on the page.
type shown struct {
	Title    string
	Daemon   api.Daemon
	Up       string
	Now      moment
	Counts   []count
	Handlers []handler
	Events   []happened // the newest first
	Last     string     // names the last event
	Span     string     // that the graphs are about
}

// count is how many handlers stand in one way.
type count struct {
	N    int
	What string
	Tone string
}

// moment is a time, for people and for programs.
type moment struct{ Text, Exact, Ago string }

type handler struct {
	api.Handler
	Tone     string
	Since    moment
	Versions []version
	Requests string
	Beside   string // how it does as a canary
	Why      []*api.Refusal
	Graphs   []graph
}

type version struct {
	api.Past
	Live moment
}

type happened struct {
	api.Event
	Time         moment
	Tone         string
	Reason, Mend string
}

// mostEvents is how many the page begins with.
const mostEvents = 100

// tones are how a state looks: well, wait, warn, bad, off.
var tones = map[string]string{
	api.StateLive: "well", api.StateSeen: "wait", api.StateStarting: "wait", api.StateRetiring: "off", api.StateDisabled: "off",
	api.StateCanary: "well", api.StatePromoted: "off", api.StateWithdrawn: "warn", api.StateRolledBack: "warn", api.StateCrashed: "bad", api.StateRefused: "bad", api.StateQuarantined: "bad",
}

// gravity is the order of the page: what needs somebody comes first.
var gravity = map[string]int{"bad": 0, "warn": 1, "wait": 2, "well": 3, "off": 4}

func (v *view) shown() shown {
	s := shown{
		Daemon: v.status.Daemon, Up: lasts(v.now.Sub(v.status.Daemon.Since)), Now: v.moment(v.now),
		Span: lasts(rates.Step * rates.Kept),
	}
	states := make(map[string]int)
	refused := 0
	for _, h := range v.status.Handlers {
		shown := v.handler(h)
		s.Handlers = append(s.Handlers, shown)
		states[h.State]++
		if h.Refusal != nil && !h.Refusal.Promoted && h.State == api.StateLive {
			refused++
		}
	}
	slices.SortStableFunc(s.Handlers, func(a, b handler) int { return cmp.Compare(gravity[a.Tone], gravity[b.Tone]) })
	for _, state := range []string{
		api.StateLive, api.StateCanary, api.StateWithdrawn, api.StatePromoted, api.StateStarting, api.StateSeen, api.StateRefused, api.StateCrashed, api.StateRolledBack, api.StateQuarantined, api.StateDisabled, api.StateRetiring,
	} {
		if n := states[state]; n > 0 || state == api.StateLive {
			s.Counts = append(s.Counts, count{n, state, tones[state]})
		}
		if state == api.StateRefused && refused > 0 {
			s.Counts = append(s.Counts, count{refused, "live with a newer file refused", "warn"})
		}
	}
	var words []string
	for _, c := range s.Counts {
		words = append(words, fmt.Sprintf("%d %s", c.N, c.What))
	}
	s.Title = strings.Join(words, ", ") + " – plugserver"
	for _, e := range slices.Backward(v.events[max(0, len(v.events)-mostEvents):]) {
		s.Events = append(s.Events, shownEvent(e, v.moment(e.Time)))
	}
	return s
}

func (v *view) handler(h api.Handler) handler {
	s := handler{Handler: h, Tone: cmp.Or(tones[h.State], "wait"), Since: v.moment(h.Since)}
	if h.Canary != nil {
		s.Beside = canary.Tells(h)
	}
	if h.Refusal != nil && !h.Refusal.Promoted && s.Tone == "well" {
		s.Tone = "warn"
	}
	for _, why := range []*api.Refusal{h.Refusal, h.GaveWay} {
		if why != nil {
			s.Why = append(s.Why, why)
		}
	}
	for _, past := range v.versions[h.Name] {
		s.Versions = append(s.Versions, version{past, v.moment(past.Live)})
	}
	if r, counted := v.rates[h.Name]; counted {
		s.Requests = fmt.Sprintf("%s requests", digits(r.Requests))
		if r.Requests == 1 {
			s.Requests = "1 request"
		}
		if r.InFlight > 0 {
			s.Requests += fmt.Sprintf(", %s in flight", digits(r.InFlight))
		}
		s.Graphs = graphs(r.Points)
	}
	return s
}

func shownEvent(e api.Event, at moment) happened {
	s := happened{Event: e, Time: at, Tone: "well", Reason: e.Fields["reason"], Mend: e.Fields["mend"]}
	switch e.Level {
	case "warning":
		s.Tone = "warn"
	case "error", "fatal", "panic":
		s.Tone = "bad"
	}
	return s
}

func (v *view) moment(t time.Time) moment { return momentAt(t, v.now) }

func momentAt(t, now time.Time) moment {
	t = t.Local()
	m := moment{Text: t.Format("15:04:05"), Exact: t.Format(time.RFC3339)}
	if y, d := t.Year(), t.YearDay(); y != now.Local().Year() || d != now.Local().YearDay() {
		m.Text = t.Format(time.DateTime)
	}
	if m.Ago = lasts(now.Sub(t)) + " ago"; now.Sub(t) < time.Second {
		m.Ago = "now"
	}
	return m
}

// lasts is a time as people tell it: its largest unit, and the next where that says more.
func lasts(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < day:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d/day), int(d.Hours())%24)
	}
}

// digits groups those of a number.
func digits(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// plain is foreign text as it may be shown: what turns the direction of text, hides, or does
// not print is written as Go does, but for the ends of lines. The template does the rest.
func plain(s string) string {
	var b strings.Builder
	for s != "" {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n', strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}
