// Clock sends the time as server-sent events, one a second. A stream never
// outlives its client, nor the version of the handler that began it.
//
// See https://html.spec.whatwg.org/multipage/server-sent-events.html.
package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	interval = time.Second      // between two events
	patience = 10 * time.Second // with a client that has stopped reading
)

// stopping ends when the handler is being stopped. A stream has no end of its
// own, so it watches for this one.
var (
	stopping context.Context
	stop     context.CancelFunc
)

// Start runs once, before Handler.
func Start(context.Context) error {
	stopping, stop = context.WithCancel(context.Background())
	return nil
}

// Stop runs once, and ends the streams that are still open. Browsers connect
// again by themselves, and find the new version.
func Stop(context.Context) error {
	stop()
	return nil
}

// Handler returns the pattern and the function that serves it.
func Handler() (string, http.HandlerFunc) {
	return "GET /clock", clock
}

// clock sends the time until the client leaves, or n times where the query
// has ?n=.
func clock(w http.ResponseWriter, r *http.Request) {
	n := 0 // no bound
	if s := r.FormValue("n"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			http.Error(w, "n is not a positive number", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead { // a GET pattern takes HEAD, too
		return
	}

	rc := http.NewResponseController(w)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	now := time.Now()
	for sent := 1; ; sent++ {
		rc.SetWriteDeadline(time.Now().Add(patience))
		fmt.Fprintf(w, "data: %s\n\n", now.UTC().Format(time.RFC3339))
		if err := rc.Flush(); err != nil {
			return // the client has left, or does not read
		}
		if sent == n {
			return
		}
		select {
		case now = <-tick.C:
		case <-r.Context().Done():
			return
		case <-stopping.Done():
			return
		}
	}
}

func main() {} // never run; go vet ./... and go build ./... ask for it
