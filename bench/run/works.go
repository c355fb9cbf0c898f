package run

import (
	"strings"
	"time"

	"github.com/andrestc/go-plugserver/bench/handlers"
	"github.com/andrestc/go-plugserver/bench/load"
)

// Work is a kind of traffic.
type Work struct {
	Name     string
	About    string
	Handlers []string // that answer it, by the names of their plugins
	Spec     load.Spec
}

// Works are all kinds of traffic, in the order of the report.
func Works() []Work {
	hello, bye := load.Get("/hello", "Hello World!", false), load.Get("/bye", "Bye World!", false)
	both := []load.Request{hello, bye}
	one, two := []string{"hello"}, []string{"hello", "bye"}
	return []Work{
		{"keepalive", "hello world, 32 connections, one handler", one, load.Spec{Conns: 32, Requests: both[:1]}},
		{"close", "hello world, 32 clients, one request per connection", one,
			load.Spec{Conns: 32, Fresh: true, Requests: []load.Request{load.Get("/hello", "Hello World!", true)}}},
		{"alternating", "32 connections, each alternating between two handlers", two, load.Spec{Conns: 32, Requests: both}},
		{"pipelined", "32 connections, 16 requests a batch, one handler", one, load.Spec{Conns: 32, Batch: 16, Requests: both[:1]}},
		{"pipelined-alternating", "32 connections, 16 requests a batch, alternating between two handlers", two,
			load.Spec{Conns: 32, Batch: 16, Requests: both}},
		{"json", "10 KiB of JSON, 32 connections", []string{"json"},
			load.Spec{Conns: 32, Requests: []load.Request{load.Get("/json", handlers.JSONBody, false)}}},
		{"upload", "POST of 1 MiB that the handler reads, 32 connections", []string{"upload"},
			load.Spec{Conns: 32, Requests: []load.Request{load.Post("/upload", []byte(strings.Repeat("plugserv", 1<<17)), "1048576")}}},
	}
}

// warm is how long a load lasts before it is measured.
const warm = 200 * time.Millisecond
