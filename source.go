// Package plugserver carries the source of plugserver-cell, so that a cell can
// be built to match a plugin wherever there is a Go toolchain (internal/cellsource).
package plugserver

import "embed"

// CellSource has the files of the cell and of every room it imports. Their tests come
// along, for go:embed leaves nothing out.
//
//go:embed cmd/plugserver-cell/main.go internal/cell/*.go internal/handover/*.go internal/link/*.go
//go:embed internal/http1/*.go internal/refusal/*.go internal/routes/*.go internal/wire/*.go internal/words/*.go
var CellSource embed.FS
