package page

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/internal/between/api"
)

// mostStreams is how many may look on as it happens. Others have the page, which their
// script asks for again.
const mostStreams = 16

// limits are what one stream may take. Nothing is queued for one: each reads the events that
// are remembered for all, at its own speed.
type limits struct {
	write time.Duration // for what it is sent to leave this process: who reads slower is dropped
	beat  time.Duration // after which it is sent something, so that one who is gone is noticed
	whole time.Duration // after which it has to come again, so that others get their turn
}

var usual = limits{write: 5 * time.Second, beat: 15 * time.Second, whole: 10 * time.Minute}

// id names an event: those of another daemon, whose numbers begin anew, have other names.
func (p *Page) id(seq uint64) string { return p.boot + "-" + strconv.FormatUint(seq, 10) }

// after is the number of the event that a client has last: 0 where it has none of ours.
func (p *Page) after(r *http.Request) uint64 {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("after")
	}
	boot, number, _ := strings.Cut(last, "-")
	if boot != p.boot {
		return 0
	}
	seq, _ := strconv.ParseUint(number, 10, 64)
	return seq
}

// stream sends events as they happen (HTML, 9.2), each as an item of the page's list.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case <-p.cfg.Stopping:
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	default:
	}
	select {
	case p.streams <- struct{}{}:
		defer func() { <-p.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d others look on already", mostStreams), http.StatusServiceUnavailable)
		return
	}
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{}) // the server's is for reading a request; passed, it would end this one
	w.Header().Set("Content-Type", "text/event-stream")
	if p.send(w, c, "retry: 2000\n\n") != nil {
		return
	}
	end := time.After(p.limits.whole)
	beat := time.NewTicker(p.limits.beat)
	defer beat.Stop()
	for last := p.after(r); ; {
		all, more := p.cfg.Events.Since(last)
		for _, e := range all {
			if p.send(w, c, p.message(e)) != nil {
				return
			}
			last = e.Seq
		}
		if len(all) > 0 {
			continue
		}
		select {
		case <-more:
		case <-beat.C:
			if p.send(w, c, ":\n\n") != nil {
				return
			}
		case <-end:
			return
		case <-p.cfg.Stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// send writes what is to leave this process at once, or the client is too slow.
func (p *Page) send(w io.Writer, c *http.ResponseController, text string) error {
	if err := c.SetWriteDeadline(time.Now().Add(p.limits.write)); err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return c.Flush()
}

// message is an event in the stream.
func (p *Page) message(e api.Event) string {
	var item bytes.Buffer
	if err := templates.ExecuteTemplate(&item, "event.html", shownEvent(e, momentAt(e.Time, time.Now()))); err != nil {
		return ""
	}
	// A line's end within the item may be any of three, and would end the field.
	data := strings.NewReplacer("\r\n", "\ndata: ", "\r", "\ndata: ", "\n", "\ndata: ").Replace(strings.TrimSpace(item.String()))
	return fmt.Sprintf("id: %s\ndata: %s\n\n", p.id(e.Seq), data)
}
