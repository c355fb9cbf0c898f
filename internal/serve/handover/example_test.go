package handover_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/andrestc/go-plugserver/internal/serve/handover"
)

// A gate answers some requests itself; with a Peer in Dest, another process would.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		log.Fatal(err)
	}
	l.Close()
	accepting, err := handover.Listen(file)
	if err != nil {
		log.Fatal(err)
	}

	gate := handover.NewServer(context.Background(), http.NotFoundHandler(), handover.Limits{MaxHeaderBytes: 1 << 20}, log.Default())
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello, %s", r.URL.Path) })
	gate.Route = func(*http.Request) handover.Dest { return handover.Dest{Handler: hello} }
	gate.RouteNow = func(*http.Request) (handover.Dest, bool) { return handover.Dest{}, false }
	go gate.Run()
	go gate.Accept(accepting)

	resp, err := http.Get("http://" + accepting.Addr().String() + "/world")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, string(body))

	accepting.Close()
	gate.Shutdown(context.Background())
	// Output: 200 OK hello, /world
}
