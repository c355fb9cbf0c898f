// Echo sends every WebSocket message back to its sender. A conversation ends
// with a close frame that says why, also where the handler is being stopped.
//
// It is a module of its own, as every handler that imports other modules is.
package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	maxMessage = 64 << 10         // bytes
	patience   = 10 * time.Second // with a client that has stopped reading
	silence    = 5 * time.Minute  // without a message, after which a conversation ends
)

// stopping ends when the handler is being stopped. A conversation has no end
// of its own, so it watches for this one.
var (
	stopping      context.Context
	stop          context.CancelFunc
	conversations *sync.WaitGroup
)

// Start runs once, before Handler.
func Start(context.Context) error {
	stopping, stop = context.WithCancel(context.Background())
	conversations = new(sync.WaitGroup)
	return nil
}

// Stop runs once, and takes leave of the clients that are still connected.
func Stop(ctx context.Context) error {
	stop()
	over := make(chan struct{})
	go func() {
		conversations.Wait()
		close(over)
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Handler returns the pattern and the function that serves it.
func Handler() (string, http.HandlerFunc) {
	return "GET /echo", echo
}

func echo(w http.ResponseWriter, r *http.Request) {
	conversations.Add(1)
	defer conversations.Done()

	// Accept refuses the pages of other sites, and has answered where it fails.
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)

	// Close is safe beside Read, and only the first one counts.
	leave := func() { conn.Close(websocket.StatusGoingAway, "the handler is being stopped") }
	defer context.AfterFunc(stopping, leave)()
	defer context.AfterFunc(r.Context(), leave)()
	silent := time.AfterFunc(silence, func() { conn.Close(websocket.StatusGoingAway, "silent for too long") })
	defer silent.Stop()

	for {
		// Not r.Context(): where it ended, Read would cut the connection
		// before leave has said why.
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			end(r, err)
			return
		}
		silent.Reset(silence)
		if err := reply(conn, kind, message); err != nil {
			end(r, err)
			return
		}
	}
}

func reply(conn *websocket.Conn, kind websocket.MessageType, message []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return conn.Write(ctx, kind, message)
}

// end logs why a conversation is over, unless it came to a proper close.
func end(r *http.Request, err error) {
	if websocket.CloseStatus(err) == -1 && !errors.Is(err, net.ErrClosed) {
		slog.InfoContext(r.Context(), "conversation cut", "error", err)
	}
}

func main() {} // never run; go vet ./... and go build ./... ask for it
