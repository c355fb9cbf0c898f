// Package plugserver carries the source of plugserver-cell, so that a cell can
// be built to match a plugin wherever there is a Go toolchain (internal/build/cellsource).
package plugserver

import "embed"

// CellSource has the files of the cell and of every room it imports. Their tests come
// along, for go:embed leaves nothing out.
//
//go:embed cmd/plugserver-cell/main.go internal/serve/cell/*.go internal/serve/handover/*.go internal/between/link/*.go internal/between/access/*.go internal/between/counter/*.go internal/between/direct/*.go internal/between/epoll/*.go
//go:embed internal/serve/http1/*.go internal/serve/libpath/*.go internal/serve/mapped/*.go internal/serve/parts/*.go internal/serve/proxied/*.go internal/serve/record/*.go internal/serve/readahead/*.go internal/serve/records/*.go internal/serve/replay/*.go internal/serve/slim/*.go internal/serve/split/*.go internal/serve/title/*.go internal/serve/tls13/*.go internal/serve/tlskeys/*.go internal/between/refusal/*.go internal/between/routers/*.go internal/between/routes/*.go internal/between/wire/*.go internal/between/words/*.go
var CellSource embed.FS
