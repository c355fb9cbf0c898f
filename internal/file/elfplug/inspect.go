// Package elfplug reads what a Go plugin file says of itself, and tells
// whether a cell can load it. It executes no byte of the file, and whatever
// the file contains, it returns, in time and memory bounded by the file's size.
//
// Its verdict is plugin.Open's (runtime/plugin.go, plugin_lastmoduleinit), and
// stricter only where that may end the process, or accepts what the processor
// cannot run.
package elfplug

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/file/badfile"
)

// Info is what a plugin or a cell binary says of itself.
type Info struct {
	GoVersion string // such as "go1.26.8" (runtime.Version)
	Path      string // of its package main; "command-line-arguments" if built from files
	// PluginPath is what the names of its exported symbols begin with, as
	// escaped in symbol names. It is "" for a cell.
	PluginPath string
	Settings   map[string]string // build settings (debug.BuildSetting), such as "-trimpath": "true"
	Modules    []debug.Module    // the main module, where there is one, then its dependencies
	// PkgHashes are the fingerprints of the packages that it links (go:link.pkghashbytes, cmd/link).
	PkgHashes Hashes
	// Exports are the names plugin.Lookup would find, sorted. It is nil for a
	// cell.
	Exports []string

	// Protocol is link.Protocol of a cell, 0 for what says none.
	Protocol int
	// Source is the digest of the source that a cell was built from where
	// cellsource.LayOut wrote that; it is "" for one of a package.
	Source string
}

// InspectFile is Inspect of the file at path, which has to be a regular one.
func InspectFile(path string) (*Info, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Inspect(f, size)
}

// ReadFile is InspectFile of a file that was inspected before: it is not looked at for
// gaps, which takes all of it.
func ReadFile(path string) (*Info, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return inspect(f, size, (*image).plugin, false)
}

// InspectAny is InspectFile of a plugin for whatever platform, which it says, such as
// "linux/arm64".
func InspectAny(path string) (info *Info, platform string, err error) {
	f, size, err := open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	info, err = inspect(f, size, func(im *image) (*Info, error) {
		platform = im.platform()
		return im.anyPlugin()
	}, true)
	return info, platform, err
}

// Inspect reads a plugin of size bytes. The error is a *refusal.Error where
// the file is no plugin for this platform, and else one of reading.
func Inspect(r io.ReaderAt, size int64) (*Info, error) {
	return inspect(r, size, (*image).plugin, true)
}

// InspectBeside is Inspect while the file is being read anyway: gaps looks for them once all of it was.
func InspectBeside(r io.ReaderAt, size int64) (info *Info, gaps func(*Zeros) error, err error) {
	im, info, err := begin(r, size, (*image).plugin)
	if err != nil {
		return nil, nil, err
	}
	return info, func(z *Zeros) error { return im.gaps(z.within) }, nil
}

func inspect(r io.ReaderAt, size int64, plugin func(*image) (*Info, error), gaps bool) (*Info, error) {
	im, info, err := begin(r, size, plugin)
	if err == nil && gaps {
		buf, free := buffer(piece)
		defer free()
		err = im.gaps(func(s section) (int64, error) { return im.zeros(s, buf) })
	}
	if err != nil {
		return nil, err
	}
	return info, nil
}

// begin is inspect but for gaps.
func begin(r io.ReaderAt, size int64, plugin func(*image) (*Info, error)) (im *image, info *Info, err error) {
	if im, err = outline(r, size); err == nil {
		info, err = plugin(im)
	}
	return im, info, halfCopied(size, err)
}

// gaps returns the refusal of a file that has some.
func (im *image) gaps(zeros func(section) (longest int64, err error)) error {
	_, surely, err := im.blank(zeros)
	if err == nil && surely {
		err = &cutError{im.size}
	}
	return halfCopied(im.size, err)
}

// halfCopied returns the refusal of a file of size bytes that is cut, and any other error as it is.
func halfCopied(size int64, err error) error {
	if cut, ok := errors.AsType[*cutError](err); ok {
		return badfile.HalfCopied(size, cut.need)
	}
	return err
}

// Foreign returns the refusal of a file of size bytes that is no Go plugin at
// all, such as a C library, and nil of any other.
func Foreign(r io.ReaderAt, size int64) *refusal.Error {
	_, err := Inspect(r, size)
	if refused, ok := errors.AsType[*refusal.Error](err); ok && refused.Foreign {
		return refused
	}
	return nil
}

// open opens a regular file, without waiting for the writer of a named pipe.
func open(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = badfile.NotRegular(st.Mode())
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// Contract returns the refusal of a plugin that exports no handler, or nil.
// Whether the handler has the right type only its cell can tell.
func (p *Info) Contract() *refusal.Error {
	for _, name := range p.Exports {
		if name == "Handler" || name == "Handlers" {
			return nil
		}
	}
	return badfile.NoHandler(p.Exports)
}

// plugin reads the image as a plugin for this platform.
func (im *image) plugin() (*Info, error) {
	want := runtime.GOOS + "/" + runtime.GOARCH
	if have := im.platform(); have != want {
		return nil, badfile.WrongPlatform(have, want)
	}
	return im.anyPlugin()
}

// anyPlugin reads the image as a plugin.
func (im *image) anyPlugin() (*Info, error) {
	info, err := im.buildInfo()
	if err != nil {
		return nil, err
	}
	if info == nil {
		switch im.kind {
		case elf.ET_DYN:
			return nil, badfile.NotGo()
		case elf.ET_REL:
			return nil, badfile.NotSharedObject("an object file")
		case elf.ET_EXEC:
			return nil, badfile.NotSharedObject("a program")
		}
		return nil, badfile.NotSharedObject("an ELF file of another type")
	}
	mode := info.Settings["-buildmode"]
	if mode != "" && mode != "plugin" || im.kind != elf.ET_DYN || im.interp {
		return nil, badfile.NotPlugin(mode)
	}
	t, err := im.dynamicSymbols()
	if err != nil {
		return nil, err
	}
	defer t.free()
	if info.PkgHashes, err = t.hashes(); err != nil {
		return nil, err
	}
	if info.PkgHashes.Len() == 0 {
		return nil, badfile.NotPlugin(mode)
	}
	if info.PluginPath = t.pluginPath(info); info.PluginPath == "" {
		return nil, badfile.RenamedPlugin()
	}
	info.Exports = t.exports(info.PluginPath)
	return info, nil
}

// buildInfo decodes what go version -m prints. It returns nil for a file that
// Go did not build. The format is in debug/buildinfo; that package reads the
// strings whole, whatever their length.
func (im *image) buildInfo() (*Info, error) {
	const (
		magic      = "\xff Go buildinf:"
		flags      = 15 // offset of a byte; bit 1 says that both strings follow
		headerSize = 32
		frame      = 16       // bytes of sentinel on either side of the second string
		most       = 16 << 20 // bytes
	)
	s := im.section(".go.buildinfo")
	if s == nil || s.bytes < headerSize {
		return nil, nil
	}
	if s.bytes > most {
		return nil, badfile.MalformedELF("its build information is too large")
	}
	b, err := im.content(*s)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte(magic)) {
		return nil, nil
	}
	if b[flags]&2 == 0 {
		return &Info{GoVersion: "go1.17 or earlier"}, nil
	}
	version, rest, ok := varString(b[headerSize:])
	if !ok || version == "" {
		return nil, nil
	}
	text, _, ok := varString(rest)
	if !ok {
		return nil, nil
	}
	info := &Info{GoVersion: version, Settings: map[string]string{}}
	if len(text) < 2*frame+1 || text[len(text)-frame-1] != '\n' {
		return info, nil // built without go build
	}
	bi, err := debug.ParseBuildInfo(text[frame : len(text)-frame])
	if err != nil {
		return nil, badfile.MalformedELF("its build information cannot be parsed")
	}
	info.Path = bi.Path
	for _, s := range bi.Settings {
		info.Settings[s.Key] = s.Value
	}
	if !fit(info.Settings[defaultGODEBUG]) {
		return nil, badfile.MalformedELF("its GODEBUG settings are none")
	}
	if bi.Main.Path != "" {
		info.Modules = append(info.Modules, bi.Main)
	}
	for _, m := range bi.Deps {
		info.Modules = append(info.Modules, *m)
	}
	return info, nil
}

// varString takes a string off b that its length precedes, as a varint.
func varString(b []byte) (s string, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > uint64(len(b)-w) {
		return "", nil, false
	}
	return string(b[w : w+int(n)]), b[w+int(n):], true
}

// Release is the Go release in a version, without the experiments that follow
// it: "go1.26.8-X:jsonv2", and "go1.25.4 X:jsonv2" of earlier releases.
func Release(version string) string {
	r, _, _ := strings.Cut(version, "X:")
	return strings.TrimRight(r, " -")
}
