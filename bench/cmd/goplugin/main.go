// Goplugin serves handlers in processes of their own by hashicorp/go-plugin. It
// listens at its first argument; the second is the protocol, netrpc or grpc,
// and the others are the handlers, of which each gets a process.
package main

import (
	"context"
	"log"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"time"

	"github.com/andrestc/go-plugserver/bench/call"
	"github.com/andrestc/go-plugserver/bench/call/callpb"
	"github.com/andrestc/go-plugserver/bench/handlers"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BENCH_PLUGIN", MagicCookieValue: "handler"}

func main() {
	if os.Getenv(handshake.MagicCookieKey) != "" {
		serve()
		return
	}
	mux := http.NewServeMux()
	for _, h := range os.Args[3:] {
		carry, err := start(os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		mux.HandleFunc("/"+h, call.Front(carry))
	}
	srv := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(srv.ListenAndServe())
}

// start starts a plugin.
func start(protocol string) (func(call.Request) (call.Response, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config := &plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugin.PluginSet{"handler": netRPC{}}, Cmd: exec.Command(self, protocol),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolNetRPC}, Logger: hclog.NewNullLogger(), Managed: true,
	}
	if protocol == "grpc" {
		config.Plugins, config.AllowedProtocols = plugin.PluginSet{"handler": gRPC{}}, []plugin.Protocol{plugin.ProtocolGRPC}
	}
	client, err := plugin.NewClient(config).Client()
	if err != nil {
		return nil, err
	}
	h, err := client.Dispense("handler")
	if err != nil {
		return nil, err
	}
	return h.(func(call.Request) (call.Response, error)), nil
}

// serve is the plugin.
func serve() {
	mux := http.NewServeMux()
	handlers.Register(mux)
	config := &plugin.ServeConfig{HandshakeConfig: handshake, Plugins: plugin.PluginSet{"handler": netRPC{mux: mux}}, Logger: hclog.NewNullLogger()}
	if os.Args[1] == "grpc" {
		config.Plugins, config.GRPCServer = plugin.PluginSet{"handler": gRPC{mux: mux}}, plugin.DefaultGRPCServer
	}
	plugin.Serve(config)
}

type netRPC struct{ mux http.Handler }

func (n netRPC) Server(*plugin.MuxBroker) (any, error) { return &service{n.mux}, nil }

func (netRPC) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) {
	return func(q call.Request) (p call.Response, err error) {
		err = c.Call("Plugin.Serve", q, &p)
		return p, err
	}, nil
}

type service struct{ mux http.Handler }

func (s *service) Serve(q call.Request, p *call.Response) error {
	*p = call.Serve(s.mux, q)
	return nil
}

type gRPC struct {
	plugin.NetRPCUnsupportedPlugin
	callpb.UnimplementedHandlerServer
	mux http.Handler
}

func (g gRPC) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	callpb.RegisterHandlerServer(s, g)
	return nil
}

func (gRPC) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	client := callpb.NewHandlerClient(c)
	return func(q call.Request) (call.Response, error) {
		p, err := client.Serve(context.Background(), &callpb.Request{Method: q.Method, Path: q.Path, Body: q.Body})
		return call.Response{Status: int(p.GetStatus()), Type: p.GetType(), Body: p.GetBody()}, err
	}, nil
}

func (g gRPC) Serve(_ context.Context, q *callpb.Request) (*callpb.Response, error) {
	p := call.Serve(g.mux, call.Request{Method: q.GetMethod(), Path: q.GetPath(), Body: q.GetBody()})
	return &callpb.Response{Status: int32(p.Status), Type: p.Type, Body: p.Body}, nil
}
