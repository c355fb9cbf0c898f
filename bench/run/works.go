package run

import (
	"slices"
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/handlers"
	"github.com/andrestc/go-plugserver/bench/load"
)

// Work is a kind of traffic.
type Work struct {
	Name     string
	About    string
	Handlers []string // that answer it, by their paths without the slash
	Spec     load.Spec
	// Front puts an nginx before the peer, with so many pooled connections;
	// only peers that run handlers are measured then.
	Front int
	// Not names peers that cannot do it.
	Not []string
}

// The peers that carry requests as values, without streams.
var values = []string{"goplugin-netrpc", "goplugin-grpc", "wazero"}

// Works are all kinds of traffic, in the order of the report.
func Works() []Work {
	hello, bye := load.Get("/hello", "Hello World!", false), load.Get("/bye", "Bye World!", false)
	both := []load.Request{hello, bye}
	one, two := []string{"hello"}, []string{"hello", "bye"}
	var mixed []string
	var mix []load.Request
	for n := range handlers.Mixed {
		mixed = append(mixed, handlers.MixedPath(n)[1:])
		mix = append(mix, load.Get(handlers.MixedPath(n), handlers.MixedBody(n), false))
	}
	answer := []string{"nginx"} // answers by itself: a text, and no more
	proxies := []string{"nginx", "nginx-proxy", "caddy", "reverseproxy"}
	stream := strings.Repeat(handlers.Chunk, handlers.Chunks)
	// Over TLS and HTTP/2: beside proxies, which take both off and talk HTTP/1.1 to what is behind them.
	plain := slices.Concat(answer, values, []string{"inprocess", "yaegi"})
	hello2 := []load.Request{load.Get2("/hello", "Hello World!", true)}
	fresh := []load.Request{load.Get("/hello", "Hello World!", true)}
	return []Work{
		{Name: "keepalive", About: "hello world, 32 connections, one handler", Handlers: one,
			Spec: load.Spec{Conns: 32, Requests: both[:1]}},
		{Name: "close", About: "hello world, one request per connection, 32 at a time", Handlers: one,
			Spec: load.Spec{Conns: 32, Fresh: true, Requests: []load.Request{load.Get("/hello", "Hello World!", true)}}},
		{Name: "alternating", About: "32 connections, each alternating between two handlers", Handlers: two,
			Spec: load.Spec{Conns: 32, Requests: both}},
		{Name: "mixed", About: "64 pooled connections, each request to one of ten handlers at random", Handlers: mixed,
			Spec: load.Spec{Conns: 64, Random: true, Requests: mix}},
		{Name: "proxied", About: "behind nginx with 64 pooled upstream connections, 64 clients, two handlers in turn (nginx counts)", Handlers: two,
			Front: 64, Not: slices.Concat(proxies, values, []string{"yaegi"}), Spec: load.Spec{Conns: 64, Requests: both}},
		{Name: "proxied-one", About: "the same with one handler", Handlers: one,
			Front: 64, Not: slices.Concat(proxies, values, []string{"yaegi"}), Spec: load.Spec{Conns: 64, Requests: both[:1]}},
		{Name: "pipelined", About: "32 connections, 16 requests a batch, one handler", Handlers: one,
			Spec: load.Spec{Conns: 32, Batch: 16, Requests: both[:1]}},
		{Name: "pipelined-alternating", About: "32 connections, 16 requests a batch, alternating between two handlers", Handlers: two,
			Spec: load.Spec{Conns: 32, Batch: 16, Requests: both}},
		{Name: "json", About: "10 KiB of JSON, 32 connections", Handlers: []string{"json"}, Not: answer,
			Spec: load.Spec{Conns: 32, Requests: []load.Request{load.Get("/json", handlers.JSONBody, false)}}},
		{Name: "upload", About: "POST of 1 MiB that the handler reads, 32 connections", Handlers: []string{"upload"}, Not: answer,
			Spec: load.Spec{Conns: 32, Requests: []load.Request{load.Post("/upload", []byte(strings.Repeat("plugserv", 1<<17)), "1048576")}}},
		{Name: "stream", About: "50 chunks of 256 bytes, each flushed, 32 connections", Handlers: []string{"stream"}, Not: append(answer, values...),
			Spec: load.Spec{Conns: 32, Requests: []load.Request{load.Get("/stream", stream, false)}}},
		{Name: "websocket", About: "64 bytes echoed over 32 WebSockets; a message counts as a request", Handlers: []string{"websocket"},
			Not:  slices.Concat(answer, values, []string{"yaegi"}),
			Spec: load.Spec{Conns: 32, Hello: load.Upgrade("/websocket"), Requests: []load.Request{load.Frame(strings.Repeat("plugserv", 8))}}},
		{Name: "connections-1", About: "hello world, 1 connection", Handlers: one, Spec: load.Spec{Conns: 1, Requests: both[:1]}},
		{Name: "connections-512", About: "hello world, 512 connections", Handlers: one, Spec: load.Spec{Conns: 512, Requests: both[:1]}},
		{Name: "connections-2000", About: "hello world, 2,000 connections", Handlers: one, Spec: load.Spec{Conns: 2000, Requests: both[:1]}},
		{Name: "tls", About: "hello world over TLS, 32 connections", Handlers: one, Not: plain,
			Spec: load.Spec{TLS: true, Conns: 32, Requests: both[:1]}},
		{Name: "tls-handshakes", About: "over TLS, one request per connection, 32 at a time: each a handshake", Handlers: one, Not: plain,
			Spec: load.Spec{TLS: true, Conns: 32, Fresh: true, Requests: fresh}},
		{Name: "tls-resumed", About: "the same, each resuming the session of the one before", Handlers: one, Not: plain,
			Spec: load.Spec{TLS: true, Conns: 32, Fresh: true, Resume: true, Requests: fresh}},
		{Name: "h2-1", About: "HTTP/2 over TLS, 32 connections of one stream at a time", Handlers: one, Not: plain,
			Spec: load.Spec{TLS: true, Conns: 32, Streams: 1, Requests: hello2}},
		{Name: "h2-single", About: "HTTP/2 over TLS, 1 connection of one stream at a time", Handlers: one, Not: plain,
			Spec: load.Spec{TLS: true, Conns: 1, Streams: 1, Requests: hello2}},
		{Name: "h2-100", About: "HTTP/2 over TLS, 4 connections of 100 streams each", Handlers: one, Not: plain,
			Spec: load.Spec{TLS: true, Conns: 4, Streams: 100, Requests: hello2}},
		{Name: "h2c-100", About: "the same in the clear", Handlers: one, Not: plain,
			Spec: load.Spec{Conns: 4, Streams: 100, Requests: []load.Request{load.Get2("/hello", "Hello World!", false)}}},
		{Name: "h2-unary", About: "unary gRPC calls of 64 bytes over TLS, 4 connections of 16 streams each", Handlers: []string{"unary"},
			Not:  append(plain, "nginx-proxy"), // it talks gRPC to none but gRPC's own kind of server
			Spec: load.Spec{TLS: true, Conns: 4, Streams: 16, Requests: []load.Request{load.Call("/unary", strings.Repeat("plugserv", 8))}}},
	}
}

// Short names one work of each kind.
const Short = "keepalive,close,alternating,mixed,proxied,pipelined-alternating,json,upload,stream,websocket,connections-2000,tls,tls-resumed,h2-100,h2c-100,h2-unary"

// Can says whether the peer can do the work.
func (w Work) Can(p Peer) bool {
	return !slices.Contains(w.Not, p.Name) && (len(p.Only) == 0 || slices.Contains(p.Only, w.Name)) && !(p.Plain && (w.Spec.TLS || w.Spec.Streams > 0))
}

// clear2 says that it is HTTP/2 in the clear.
func (w Work) clear2() bool { return w.Spec.Streams > 0 && !w.Spec.TLS }

// warm is how long a load lasts before it is measured.
const warm = 200 * time.Millisecond
