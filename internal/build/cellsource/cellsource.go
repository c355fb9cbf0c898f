// Package cellsource lays out the source that a cell is built from, and identifies it.
package cellsource

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/version"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	plugserver "github.com/andrestc/go-plugserver"
)

// Package is the cell's package in the module that LayOut writes.
const Package = "./cmd/plugserver-cell"

// OldestGo is the oldest Go release that builds a cell. The cell and the rooms
// that it imports keep to its language and library.
const OldestGo = "go1.23.0"

// Digest identifies the cell's source, in 16 hex digits.
func Digest() string {
	d := digest()
	return hex.EncodeToString(d[:])
}

// digest is the beginning of a SHA-256.
var digest = sync.OnceValue(func() [8]byte {
	h := sha256.New()
	walk(func(path string, text []byte) error {
		fmt.Fprintf(h, "%s %d\n%s", path, len(text), text)
		return nil
	})
	return [8]byte(h.Sum(nil))
})

// LayOut writes the cell's source to dir as a module of its own, which
// needs no other. release, such as "go1.25.4", is the Go release that is to
// build it. The cell says by which source it was built (elfplug.Info.Source).
func LayOut(dir, release string) error {
	if !version.IsValid(release) {
		return fmt.Errorf("lay out the cell's source: %q is no Go release", release)
	}
	// The go line decides the GODEBUG settings of all that the cell loads: let
	// them be the defaults of its release.
	release, _, _ = strings.Cut(strings.TrimPrefix(release, "go"), "-")
	mod := "module github.com/andrestc/go-plugserver\n\ngo " + release + "\n"
	if err := write(dir, "go.mod", []byte(mod)); err != nil {
		return err
	}
	if err := write(dir, Package+"/source.go", fmt.Appendf(nil, stamp, digest())); err != nil {
		return err
	}
	return walk(func(path string, text []byte) error { return write(dir, path, text) })
}

// stamp keeps the digest in a variable, which elfplug finds by its symbol.
const stamp = `package main

var source = %#v

func init() { keep(&source) }

//go:noinline
func keep(*[8]byte) {}
`

// walk visits the files that a cell is built from, no tests, by their paths in this module.
func walk(visit func(path string, text []byte) error) error {
	return fs.WalkDir(plugserver.CellSource, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := plugserver.CellSource.ReadFile(path)
		if err != nil {
			return err
		}
		return visit(path, text)
	})
}

func write(dir, name string, text []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
