package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// serve returns the address of a server of the handler, and what has the handler
// replaced, which returns the new one's greeting. The server is net/http's; or it is
// at GRPC_ADDRESS, and who runs it reads "replace", and writes the greeting.
func serve(t *testing.T) (address string, replace func() string) {
	t.Helper()
	if a := os.Getenv("GRPC_ADDRESS"); a != "" {
		return a, func() string {
			fmt.Println("replace")
			line, err := bufio.NewReader(os.Stdin).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(line)
		}
	}
	var current atomic.Pointer[http.ServeMux]
	load := func() string {
		mux := http.NewServeMux()
		mux.Handle(Handler())
		current.Store(mux)
		return "Hello"
	}
	load()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		current.Load().ServeHTTP(w, r)
	})}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String(), load
}

// call is an open stream of a call.
type call struct {
	grpc.ClientStream
	t    *testing.T
	name string
}

func begin(ctx context.Context, t *testing.T, c *grpc.ClientConn, name string) call {
	t.Helper()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/greet.Greeter/"+name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return call{s, t, name}
}

func (k call) say(text string) {
	k.t.Helper()
	if err := k.SendMsg(wrapperspb.String(text)); err != nil {
		k.t.Fatalf("%s: %v", k.name, err)
	}
}

func (k call) hear(want string) {
	k.t.Helper()
	var in wrapperspb.StringValue
	if err := k.RecvMsg(&in); err != nil || in.Value != want {
		k.t.Fatalf("%s: %q, %v; want %q", k.name, in.Value, err, want)
	}
}

// end says that no more is said, and hears the rest, and the status.
func (k call) end(rest ...string) {
	k.t.Helper()
	if err := k.CloseSend(); err != nil {
		k.t.Fatalf("%s: %v", k.name, err)
	}
	for _, want := range rest {
		k.hear(want)
	}
	if err := k.RecvMsg(new(wrapperspb.StringValue)); !errors.Is(err, io.EOF) {
		k.t.Fatalf("%s ends by %v", k.name, err)
	}
}

// A client of grpc's own makes each kind of call, and again when the handler was
// replaced, over the same connection. A stream that was open ends as it began.
func TestCalls(t *testing.T) {
	address, replace := serve(t)
	c, err := grpc.NewClient("passthrough:"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	open := begin(ctx, t, c, "Chat")
	open.say("Joan")
	open.hear("Hello Joan")
	calls(ctx, t, c, "Hello")
	greeting := replace()
	calls(ctx, t, c, greeting)
	open.say("Barbara")
	open.end("Hello Barbara")
}

func calls(ctx context.Context, t *testing.T, c *grpc.ClientConn, greeting string) {
	t.Helper()
	var out wrapperspb.StringValue
	if err := c.Invoke(ctx, "/greet.Greeter/One", wrapperspb.String("Ada"), &out); err != nil || out.Value != greeting+" Ada" {
		t.Fatalf("One: %q, %v", out.Value, err)
	}
	many := begin(ctx, t, c, "Many")
	many.say("Ada")
	many.end(greeting+" Ada", "Hallo Ada", "Hej Ada")
	collect := begin(ctx, t, c, "Collect")
	for _, name := range []string{"Ada", "Grace", "Joan"} {
		collect.say(name)
	}
	collect.end(greeting + " Ada Grace Joan")
	chat := begin(ctx, t, c, "Chat")
	for _, name := range []string{"Ada", "Grace"} {
		chat.say(name)
		chat.hear(greeting + " " + name)
	}
	chat.end()
}
