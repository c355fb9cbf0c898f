// Wazero serves the handlers out of WebAssembly. It listens at its first
// argument; the second is the module.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/andrestc/go-plugserver/bench/call"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// A guest serves one request at a time.
type guest struct {
	memory       api.Memory
	place, serve api.Function
}

func main() {
	guests, err := instances(os.Args[2], 2*runtime.GOMAXPROCS(0))
	if err != nil {
		log.Fatal(err)
	}
	front := call.Front(func(q call.Request) (call.Response, error) {
		g := <-guests
		defer func() { guests <- g }()
		return g.call(q)
	})
	srv := &http.Server{Addr: os.Args[1], Handler: front, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	log.Fatal(srv.ListenAndServe())
}

func instances(file string, n int) (chan *guest, error) {
	code, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, err
	}
	compiled, err := r.CompileModule(ctx, code)
	if err != nil {
		return nil, err
	}
	guests := make(chan *guest, n)
	for range n {
		m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").
			WithStartFunctions("_initialize").WithSysWalltime().WithSysNanotime().WithStderr(os.Stderr))
		if err != nil {
			return nil, err
		}
		guests <- &guest{m.Memory(), m.ExportedFunction("place"), m.ExportedFunction("serve")}
	}
	return guests, nil
}

func (g *guest) call(q call.Request) (p call.Response, err error) {
	ctx := context.Background()
	in := q.Marshal()
	where, err := g.place.Call(ctx, uint64(len(in)))
	if err != nil {
		return p, err
	}
	if !g.memory.Write(uint32(where[0]), in) {
		return p, errors.New("no place for the request")
	}
	answer, err := g.serve.Call(ctx)
	if err != nil {
		return p, err
	}
	out, ok := g.memory.Read(uint32(answer[0]>>32), uint32(answer[0]))
	if !ok {
		return p, errors.New("no answer")
	}
	p, err = call.UnmarshalResponse(out)
	p.Body = append([]byte(nil), p.Body...) // out is the guest's memory
	return p, err
}
