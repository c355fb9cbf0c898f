package elfplug

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// The variables in which a cell says what it is. Build information cannot: a
// build with -trimpath keeps no -ldflags there.
const sourceSymbol = "main.source"

// protocolSymbols are where a cell says its protocol: those that were built by an
// earlier version and kept have it in a package of another path.
var protocolSymbols = []string{
	"github.com/andrestc/go-plugserver/internal/between/link.protocol",
	"github.com/andrestc/go-plugserver/internal/link.protocol",
}

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
	defer t.free()
	if info.PkgHashes, err = t.hashes(); err != nil {
		return nil, err
	}
	if info.PkgHashes.Len() == 0 || im.kind == elf.ET_DYN && !im.interp {
		return nil, errors.New("not a program that loads plugins")
	}
	if info.Protocol, err = protocol(im.order, t.variable); err != nil {
		return nil, err
	}
	source, err := t.variable(sourceSymbol, 8)
	if err != nil {
		return nil, err
	}
	info.Source = hex.EncodeToString(source)
	return info, nil
}

// protocol is what a cell with the variables speaks, 0 where it does not say.
func protocol(order binary.ByteOrder, variable func(symbol string, size uint64) ([]byte, error)) (int, error) {
	for _, symbol := range protocolSymbols {
		b, err := variable(symbol, 4)
		switch {
		case err != nil:
			return 0, err
		case b != nil:
			return int(order.Uint32(b)), nil
		}
	}
	return 0, nil
}
