package elfplug

import (
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
)

// The variables in which a cell says what it is. Build information cannot: a
// build with -trimpath keeps no -ldflags there.
const (
	protocolSymbol = "github.com/andrestc/go-plugserver/internal/link.protocol"
	sourceSymbol   = "main.source"
)

// InspectCell reads the cell binary at path, a program that imports "plugin".
func InspectCell(path string) (*Info, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	im, err := outline(f, size)
	if err == nil {
		var info *Info
		if info, err = im.cell(); err == nil {
			return info, nil
		}
	}
	return nil, fmt.Errorf("inspect cell %q: %w", path, err)
}

// cell reads the image as a program that loads plugins.
func (im *image) cell() (*Info, error) {
	info, err := im.buildInfo()
	if err != nil {
		return nil, err
	}
	if info == nil {
		return nil, errors.New("not built by Go")
	}
	t, err := im.dynamicSymbols()
	if err != nil {
		return nil, err
	}
	if info.PkgHashes, err = t.hashes(); err != nil {
		return nil, err
	}
	if len(info.PkgHashes) == 0 || im.kind == elf.ET_DYN && !im.interp {
		return nil, errors.New("not a program that loads plugins")
	}
	protocol, err := t.variable(protocolSymbol, 4)
	if err != nil {
		return nil, err
	}
	if protocol != nil {
		info.Protocol = int(im.order.Uint32(protocol))
	}
	source, err := t.variable(sourceSymbol, 8)
	if err != nil {
		return nil, err
	}
	info.Source = hex.EncodeToString(source)
	return info, nil
}
