// Package verdict judges a handler's file without running it. The daemon and
// plugserverctl check both ask here, so that one does not serve what the other refuses.
package verdict

import (
	"errors"

	"github.com/andrestc/go-plugserver/internal/between/refusal"
	"github.com/andrestc/go-plugserver/internal/build/catalogue"
	"github.com/andrestc/go-plugserver/internal/file/elfplug"
)

// Step is one of those that a file has to pass, in their order.
type Step int

const (
	Plugin   Step = iota // it is a Go plugin for this machine
	Contract             // it exports what a handler has to
	Cell                 // a cell loads it
	Passed               // all of them
)

// Verdict is what is known of a file.
type Verdict struct {
	Info    *elfplug.Info    // what it says of itself; nil where it is no plugin
	Cell    catalogue.Binary // that loads it, else the nearest; it has no Info where there is none at all
	At      Step             // the one that it did not pass, or Passed
	Refusal *refusal.Error   // why; nil where it passed
}

// Of judges a file by what it says of itself, or by the error with which it could not
// be read; choose is a catalogue's. The error says that there is no verdict.
func Of(info *elfplug.Info, err error, choose func(*elfplug.Info) (catalogue.Binary, *refusal.Error)) (Verdict, error) {
	v := Verdict{Info: info, At: Plugin}
	if err != nil {
		if errors.As(err, &v.Refusal) {
			err = nil
		}
		return v, err
	}
	v.At = Contract
	if v.Refusal = info.Contract(); v.Refusal != nil {
		return v, nil
	}
	v.At = Cell
	if v.Cell, v.Refusal = choose(info); v.Refusal == nil {
		v.At = Passed
	}
	return v, nil
}
