package handlers

import (
	"embed"
	"net/http"

	"github.com/coder/websocket"
)

// Source is handlers.go, for who interprets it.
//
//go:embed handlers.go
var Source embed.FS

// Mixed is the number of handlers at MixedPath that answer MixedBody.
const Mixed = 10

// Register puts all handlers into the mux.
func Register(mux *http.ServeMux) {
	mux.HandleFunc("/hello", Hello)
	mux.HandleFunc("/bye", Bye)
	mux.HandleFunc("/json", JSON)
	mux.HandleFunc("/upload", Upload)
	mux.HandleFunc("/stream", Stream)
	mux.HandleFunc("/websocket", WebSocket)
	mux.HandleFunc("/unary", Unary)
	for n := range Mixed {
		mux.HandleFunc(MixedPath(n), MixedHandler(n))
	}
}

// WebSocket sends every message back.
func WebSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// Serve serves: over TLS where how is a certificate's file and its key's, and with
// HTTP/2 in the clear, too, where it is "h2c".
func Serve(srv *http.Server, how []string) error {
	switch len(how) {
	case 2:
		return srv.ListenAndServeTLS(how[0], how[1])
	case 1:
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	return srv.ListenAndServe()
}
