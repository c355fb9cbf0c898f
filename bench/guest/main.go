//go:build wasip1

// The handlers for wazero. The host asks for a place with place, writes a
// call.Request there, and serve returns where its call.Response is.
package main

import (
	"net/http"
	"unsafe"

	"github.com/andrestc/go-plugserver/bench/call"
	"github.com/andrestc/go-plugserver/bench/handlers"
)

// One call at a time is in a guest, so that these are not shared.
var (
	in, out []byte
	mux     = http.NewServeMux()
)

func init() { handlers.Register(mux) }

//go:wasmexport place
func place(size uint32) uint32 {
	if cap(in) < int(size) {
		in = make([]byte, size)
	}
	in = in[:size]
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(in))))
}

//go:wasmexport serve
func serve() uint64 {
	q, err := call.UnmarshalRequest(in)
	if err != nil {
		return 0
	}
	out = call.Serve(mux, q).Marshal()
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(out))))<<32 | uint64(len(out))
}

func main() {}
